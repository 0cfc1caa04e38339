"""Write tab completion for commands and their options, for bash or zsh.

eval "$(lungct completion bash)"        # in ~/.bashrc
eval "$(lungct completion zsh)"         # in ~/.zshrc
"""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

from lungct_tools.commandline import COMMANDS, compose, make_parser

# zsh runs bash's completions by itself.
PREFIX = {"bash": "", "zsh": "autoload -U +X bashcompinit && bashcompinit\n"}
SCRIPT = """{prefix}_lungct() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" offered=""
  if (( COMP_CWORD == 1 )); then
    offered="{commands}"
  else
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$offered" -- "$word"))
}}
complete -o default -F _lungct lungct
"""


def list_options(command: str) -> list[str]:
    """The long options that a command's own help names."""
    shown = subprocess.run(compose(command, "--help"), capture_output=True, text=True, check=True).stdout
    usage = shown.partition("\n\n")[0]
    return sorted(set(re.findall(r"--[a-z][a-z-]*", usage)) | {"--help"})


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("shell", choices=sorted(PREFIX))
    args = parser.parse_args()
    with ThreadPoolExecutor(cpu_count()) as pool:
        options = dict(zip(COMMANDS, pool.map(list_options, COMMANDS), strict=True))
    cases = "\n".join(f'      {name}) offered="{" ".join(found)}" ;;' for name, found in options.items())
    print(SCRIPT.format(prefix=PREFIX[args.shell], commands=" ".join(COMMANDS), cases=cases), end="")
    return 0
