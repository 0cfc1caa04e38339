#!/usr/bin/env bash
# Believed: ray.init(_node_ip_address="127.0.0.1") keeps a cluster of one machine to loopback.
# True:     Ray takes loopback for "unknown", looks up the address by which others reach the machine, and its ports listen there.
#           With RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 it keeps to 127.0.0.1, on Linux too.
# Version:  ray 2.60.0
# Matters:  whoever reaches a port of a cluster may have it run what they like; `lungct bulk ray` sets that variable.
source "$(dirname "$0")/preamble"
packages ray==2.60.0 psutil==7.2.2
cat > listen.py <<'PY'
import logging
import sys

import psutil
import ray

ray.init(
    address="local", _node_ip_address="127.0.0.1", include_dashboard=False, num_cpus=1,
    object_store_memory=80 << 20, _temp_dir=sys.argv[1], logging_level=logging.CRITICAL, log_to_driver=False,
)
node = ray.nodes()[0]["NodeManagerAddress"]
own = [psutil.Process(), *psutil.Process().children(recursive=True)]
sockets = [each for process in own for each in process.net_connections("tcp") if each.status == "LISTEN"]
outward = {each.laddr.ip.removeprefix("::ffff:") for each in sockets} - {"127.0.0.1", "::1"}
print(node, "listens beyond loopback:" if outward else "listens on loopback alone", len(outward) or "")
ray.shutdown()
sys.exit(bool(outward) or node != "127.0.0.1")
PY
python3 -c "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9))" 2> /dev/null \
  || { echo "this machine has no address but loopback, so there is nothing to see"; exit 1; }
export RAY_USAGE_STATS_ENABLED=0
asked=0 kept=0
env -u RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER venv/bin/python listen.py "$ROOM/a" 2> /dev/null || asked=$?
RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 venv/bin/python listen.py "$ROOM/b" 2> /dev/null || kept=$?
echo "ray 2.60.0; believed: loopback both times; seen: ${asked/#1/others} as it is, ${kept/#0/loopback} with the variable"
[[ $asked == 1 && $kept == 0 ]]
