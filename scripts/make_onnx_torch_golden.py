"""Adds recurrent networks that PyTorch has exported to tests/data/graph/onnx, with ONNX Runtime's answers. Run by make_onnx_golden."""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onnx_cases import write_case  # noqa: E402


class Reader(torch.nn.Module):
    """What a recurrent layer says of each step, and of the end, through a linear layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.last = layer, torch.nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), 3)

    def forward(self, x):
        steps, end = self.layer(x)
        return self.last(steps), (end[0] if isinstance(end, tuple) else end)


NETWORKS = {"torch_lstm": (lambda: torch.nn.LSTM(4, 6, num_layers=2, bidirectional=True, batch_first=True), {}),
            "torch_gru": (lambda: torch.nn.GRU(4, 6), {"x": {0: "steps", 1: "batch"}})}


def main():
    out = pathlib.Path(sys.argv[1])
    for name, (make, open_sizes) in NETWORKS.items():
        torch.manual_seed(1)
        x, file = torch.randn(5, 2, 4), out / "torch.part"
        torch.onnx.export(Reader(make()).eval(), x, str(file), opset_version=17, input_names=["x"], output_names=["steps", "end"],
                          dynamic_axes=open_sizes)
        message = onnx.load(file)  # without the line of this program that each node comes from
        for node in message.graph.node:
            node.doc_string = ""
        onnx.save(message, file)
        feeds = {"x": np.random.default_rng(1).standard_normal(x.shape).astype(np.float32).round(3)}
        wanted = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(["steps", "end"], feeds)
        write_case(out / f"net_{name}", file, feeds, dict(zip(["steps", "end"], wanted)))
        file.unlink()


if __name__ == "__main__":
    main()
