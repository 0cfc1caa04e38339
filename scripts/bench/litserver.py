"""The peer that LitServe's own documentation leads to.

python -m lungct_tools.bench.litserver WEIGHTS PORT WORKERS THREADS
"""

# LitServe reads the annotation of decode_request, so annotations must not be text here.

import sys
from typing import Any

import litserve
import torch
from fastapi import UploadFile
from PIL import Image
from torchvision import transforms
from torchvision.models import resnet18

from lungct_tools.bench.peers import BATCH, DELAY_MS


class Classifier(litserve.LitAPI):
    """Decode and transform, stack, one forward pass in eager fp32, softmax."""

    def setup(self, device: str) -> None:
        torch.set_num_threads(int(sys.argv[4]))
        weights = torch.load(sys.argv[1], weights_only=True)
        self.network = resnet18(num_classes=len(weights["fc.bias"]))
        self.network.load_state_dict(weights)
        self.network.eval()
        self.transform = transforms.Compose(
            [
                transforms.Grayscale(3),
                transforms.Resize((224, 224)),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def decode_request(self, request: UploadFile) -> torch.Tensor:
        return self.transform(Image.open(request.file))

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    @torch.inference_mode()
    def predict(self, batch: torch.Tensor) -> list[list[float]]:
        return torch.softmax(self.network(batch), 1).tolist()

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        return output

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        return {"probabilities": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(max_batch_size=BATCH, batch_timeout=DELAY_MS / 1000),
        accelerator="cpu",
        workers_per_device=int(sys.argv[3]),
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, num_api_servers=1)
