"""Every shipped supernet can be cut up as a .tflite; trained norms are folded into the layers behind them."""

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from edgewright.assembler.archive import TrainedSupernet
from edgewright.assembler.request import Request
from edgewright.customize.templates import load_or_build
from edgewright.shipped import shipped_supernet, shipped_supernets

from tests.marks import sweep

SHARED = "numvqa-resnet"  # whose template other tests use as well


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name if name == SHARED else sweep(name) for name in shipped_supernets()])
def test_an_assembled_subnet_computes_what_torch_does(name, workspace):
    trained = TrainedSupernet.load(shipped_supernet(name))
    (gates,) = trained.assembler.assemble([Request(trained.tasks.parse(trained.tasks.example), 0.1)])
    content = load_or_build(trained, workspace / "templates").emit(gates.pack()).tobytes()
    x = torch.rand(1, *trained.image_shape, generator=torch.Generator().manual_seed(0))
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.numpy())
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    with torch.inference_mode():
        expected = trained.supernet.extract(gates)(x).numpy()
    assert np.abs(found - expected).max() < 1e-4
