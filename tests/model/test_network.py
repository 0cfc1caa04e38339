"""The network's forward pass is checked against torchvision and against the grad-cam package."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from lungct.heatmap.gradcam import METHODS, LibraryCam, activate
from lungct.model.network import LungResNet18, fold_for_inference
from lungct.model.pooling import BY_MEAN, Pooling
from lungct.model.preprocess import MEAN, STD, normalize


@pytest.fixture(scope="module", params=[BY_MEAN, Pooling("lse", 6.0)], ids=["mean", "lse"])
def network(request):
    """Random weights and random BatchNorm statistics, so that nothing cancels by chance."""
    torch.manual_seed(3)
    network = LungResNet18(3, request.param)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    torch.nn.init.normal_(network.fc.weight, 0.02, 0.1)  # so that every class has evidence for and against it
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def gray():
    return torch.randint(0, 256, (3, 1, 224, 224), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_pooled_by_the_mean_logits_are_those_of_torchvisions_resnet18(network, gray):
    network = copy.copy(network)
    network.pooling = BY_MEAN
    reference = torchvision.models.resnet18(num_classes=3).eval()
    reference.load_state_dict(network.state_dict())
    with torch.inference_mode():
        assert torch.equal(network.explain(normalize(gray)).logits, reference(normalize(gray)))


def test_pooled_evidence_plus_bias_is_the_logit_and_mean_evidence_what_the_features_add_up_to(network, gray):
    with torch.inference_mode():
        found = network.explain(normalize(gray))
        forward = network(normalize(gray))
    assert torch.equal(forward, found.logits)
    assert np.allclose(network.pooling.pool(found.maps.numpy()) + network.fc.bias.numpy(), found.logits, atol=1e-5)
    assert torch.allclose(found.maps.mean((2, 3)), found.features @ network.fc.weight.T, atol=1e-5)


def test_log_sum_exp_lies_between_the_mean_and_the_peak_moves_with_a_constant_and_stands_large_evidence():
    maps = np.random.default_rng(0).normal(0, 300, (2, 3, 7, 7)).astype(np.float32)
    pooled = Pooling("lse", 6.0).pool(maps)
    assert (pooled > maps.mean((2, 3))).all()
    assert (pooled <= maps.max((2, 3))).all()
    assert np.allclose(Pooling("lse", 6.0).pool(maps + 5), pooled + 5, rtol=1e-5)
    assert np.allclose(Pooling("lse", 1e-4).pool(maps / 100), BY_MEAN.pool(maps / 100), atol=1e-2)


def test_folding_batchnorm_and_channels_keeps_logits_maps_and_features(network, gray):
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    folded = fold_for_inference(weights, network.pooling)
    with torch.inference_mode():
        plain = network.explain(normalize(gray))
        found = folded.explain((gray.float() - MEAN) / STD)
    assert folded.conv1.weight.shape[1] == 1
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    for before, after in zip(plain, found, strict=True):
        assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))


@pytest.mark.parametrize("class_index", [0, 1, 2])
def test_closed_form_is_the_grad_cam_of_the_grad_cam_package(network, gray, class_index):
    inputs = normalize(gray).clone().requires_grad_()
    with GradCAM(network, [network.layer4[-1]]) as cam:
        expected = cam(inputs, [ClassifierOutputTarget(class_index)] * len(gray))
    with torch.inference_mode():
        maps = network.explain(normalize(gray)).maps[:, class_index].numpy()
    # its weights are ours over h * w; its scaling, done before and after it enlarges the map, adds a small number
    closed_form = scale_cam_image(scale_cam_image(np.maximum(maps, 0) / maps[0].size, (224, 224)))
    assert np.abs(closed_form - expected).max() < 1e-4
    for evidence in maps:
        assert np.array_equal(activate(evidence).map > 0, evidence > 0)
        assert (evidence > 0).any()


def test_an_all_negative_map_is_no_positive_evidence_and_is_not_stretched():
    found = activate(np.full((7, 7), -2.0, np.float32))
    assert not found.positive
    assert not found.map.any()


def test_a_positive_map_peaks_at_one_and_keeps_negative_evidence_at_zero():
    evidence = np.array([[-1.0, 0.5], [2.0, 0.0]], np.float32)
    assert activate(evidence).map.tolist() == [[0.0, 0.25], [1.0, 0.0]]


@pytest.mark.parametrize("method", [m for m in METHODS if m != "gradcam"])
def test_every_library_method_gives_a_map_and_leaves_no_hooks(network, gray, method):
    before = [len(m._forward_hooks) for m in network.modules()]
    found = LibraryCam(network).explain(gray[0].numpy()[:, ::4, ::4].copy(), 1, method)  # scorecam takes 512 passes
    assert found.map.shape == (56, 56)
    assert 0 <= found.map.min() <= found.map.max() <= 1
    assert [len(m._forward_hooks) for m in network.modules()] == before
