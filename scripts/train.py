"""Fine-tune the ResNet18 on labelled CT slices and write the model folder. Research use only.

    python scripts/train.py --data DIR --init FILE          # DIR holds cases.csv and its images
    python scripts/train.py --data DIR --init imagenet      # torchvision's weights, needs the network

Cases are split five ways: three folds train, one sets temperature and refer threshold, one is only measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from lungct.model import ModelContract, save_model_folder
from lungct.network import LungResNet18
from lungct.preprocess import normalize
from rich.progress import track
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scripts.card import write_card
from scripts.dataset import CLASSES, Cases, augmentation, balanced_batches, read_cases, split_by_case
from scripts.metrics import bootstrap_accuracy, choose_refer_threshold, fit_temperature, measure, softmax
from scripts.phantom import golden_inputs

# (epochs, side): short epochs on small views first; a third of the cost for the same accuracy
SCHEDULE = ((10, 128), (8, 176), (6, 224))
STORED_SIDE = 256  # slices are kept at this side and cropped to each view
REFER_TARGET = 0.95


def build_network(init: str) -> LungResNet18:
    """A three-class network from torchvision's ImageNet weights, or from a plain state_dict file."""
    if init == "imagenet":
        weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    else:
        weights = torch.load(init, map_location="cpu", weights_only=True)
    network = LungResNet18(len(CLASSES))
    keys = network.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")}, strict=False)
    print(f"Start from {init}: {len(keys.missing_keys)} tensors begin at random.")
    return network


def freeze_stem(network: LungResNet18) -> None:
    """Keep the ImageNet edges and textures: with some 60 training cases, fine-tuning them gains nothing."""
    for part in (network.conv1, network.bn1, network.layer1):
        part.requires_grad_(False).eval()


def fit(network: LungResNet18, cases: Cases, rows: np.ndarray, args: argparse.Namespace) -> LungResNet18:
    """Train on `rows`; return the moving average of the weights."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(args.seed)
    inputs = torch.from_numpy(cases.inputs(rows, STORED_SIDE))
    labels = torch.from_numpy(cases.labels[rows])
    schedule = [side for epochs, side in SCHEDULE for _ in range(epochs)][:: args.every]
    steps = len(schedule) * (len(rows) // args.batch)
    network = network.to(device, memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.98), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=0.05)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, steps, pct_start=0.2)
    for epoch, side in enumerate(schedule):
        network.train()
        freeze_stem(network)
        losses = []
        batches = balanced_batches(inputs, labels, args.batch, augmentation(side), generator)
        for view, truth in track(batches, f"Epoch {epoch + 1}/{len(schedule)}", total=len(rows) // args.batch):
            batch = normalize(view.to(device)).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(network(batch), truth.to(device), label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            average.update_parameters(network)
            losses.append(loss.item())
        print(f"epoch {epoch + 1}/{len(schedule)} side {side} loss {np.mean(losses):.3f}", flush=True)
    return average.module.eval().cpu()


@torch.inference_mode()
def predict_logits(network: LungResNet18, cases: Cases, rows: np.ndarray, size: int) -> np.ndarray:
    """(len(rows), 3) float64 logits of slices prepared as the server prepares them."""
    batches = np.array_split(rows, max(1, len(rows) // 32))
    logits = [network(normalize(torch.from_numpy(cases.inputs(b, size)))) for b in track(batches, "Scoring")]
    return torch.cat(logits).double().numpy()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cases.csv and the images it names")
    parser.add_argument("--init", default="imagenet", help="'imagenet' or a state_dict file (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("model_store/lung_ct"), help="model folder (%(default)s)")
    parser.add_argument("--version", default="1.0", help="version written into model.json (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--every", type=int, default=1, help="run each N-th epoch of the schedule only, for a trial")
    args = parser.parse_args()
    if not (args.data / "cases.csv").is_file():
        print(f"train: {args.data} has no cases.csv; see README, 'The model'.", file=sys.stderr)
        return 2
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    started = time.monotonic()

    cases = read_cases(args.data)
    folds = split_by_case(cases, 5, args.seed)
    train, tune, test = (np.flatnonzero(np.isin(folds, part)) for part in ([2, 3, 4], [1], [0]))
    network = fit(build_network(args.init), cases, train, args)

    tune_logits, test_logits = (predict_logits(network, cases, rows, 224) for rows in (tune, test))
    temperature = fit_temperature(tune_logits, cases.labels[tune])
    threshold = choose_refer_threshold(softmax(tune_logits, temperature), cases.labels[tune], REFER_TARGET)
    scores = softmax(test_logits, temperature)
    right = scores.argmax(1) == cases.labels[test]
    reported = scores.max(1) >= threshold
    contract = ModelContract(
        version=args.version,
        temperature=temperature,
        refer_below=threshold,
        training={
            "init": Path(args.init).name,
            "seed": args.seed,
            "minutes": round((time.monotonic() - started) / 60, 1),
            "slices": {"train": len(train), "tune": len(tune), "test": len(test)},
            "cases": {n: len(set(cases.groups[r])) for n, r in (("train", train), ("tune", tune), ("test", test))},
        },
        metrics=measure(scores, cases.labels[test], CLASSES)
        | {
            "accuracy_interval": bootstrap_accuracy(right, cases.groups[test]),
            "reported_share": float(reported.mean()),
            "reported_accuracy": float(right[reported].mean()) if reported.any() else None,
        },
        data="IQ-OTH/NCCD lung cancer dataset, Mendeley Data, DOI 10.17632/bhmdr45bh2",
        licence="Weights Apache-2.0; data CC BY 4.0 (by secondary evidence)",
    )
    write_card(args.out, save_model_folder(args.out, network, contract, golden_inputs(224, "pad")))
    print(json.dumps(contract.metrics, indent=2))
    print(f"Wrote {args.out}. Build the archive with `make archive`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
