import re
from xml.etree import ElementTree

import pytest

from search_spaces import Architecture, RandomTrial, analyse, families
from search_spaces.diagram import summary, svg, text
from search_spaces.drawing import Canvas

SVG = "{http://www.w3.org/2000/svg}"

DIVERSE = {
    "input_shape": [3, 32, 32],
    "classes": 100_000,
    "stages": [
        {
            "branches": [
                [{"op": "conv", "channels": 16, "kernel": 3, "bias": True}],
                [
                    {"op": "conv", "channels": 16, "kernel": [7, 1]},
                    {"op": "conv", "channels": 16, "kernel": [1, 7]},
                ],
                [{"op": "depthwise_separable", "channels": 16, "kernel": 5, "multiplier": 2}],
            ],
            "channels": 48,
            "fusion": "concat_project",
            "branch_activation": True,
            "downsample": "stride",
        },
        {
            "branches": [
                [{"op": "conv", "channels": 64, "kernel": 3, "groups": 4, "dilation": 2}],
                [{"op": "conv", "channels": 64, "kernel": 31}],
            ],
            "channels": 64,
            "fusion": "weighted",
            "connection": "residual",
            "attention": 16,
            "activation": "leaky_relu",
            "downsample": "avg",
        },
    ],
    "head": {"pool": "avg", "dense": [1024, 1024], "dropout": 0.25},
}


def _diverse() -> Architecture:
    return Architecture.from_dict(DIVERSE)


def _samples() -> list[Architecture]:
    shapes = [(1, 28, 28), (3, 96, 96), (6, 512), (1, 49, 10)]
    return [
        families.get(family).space.sample(RandomTrial(seed), shapes[seed % 4], 10)
        for family in families.names()
        for seed in range(60)
    ]


def _words(picture: str) -> str:
    return " | ".join(element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text"))


def test_a_picture_shows_every_part_of_the_description() -> None:
    words = _words(svg(_diverse()))
    for word in (
        "input 3 × 32 × 32",
        "48 × 16 × 16",
        "64 × 8 × 8",
        "3×3 → 16",
        "7×1 → 16",
        "1×7 → 16",
        "bias",
        "separable conv",
        "multiplier 2",
        "stride 2",
        "norm, ReLU",
        "concatenate, 1×1 → 48",
        "groups 4",
        "dilation 2",
        "weighted sum",
        "average pool ÷2 → batch norm → squeeze-excitation ÷16",
        "leaky ReLU",
        "global average → dense 1024 → dense 1024 → dropout 0.25 → 100000 classes",
    ):
        assert word in words, word


def test_a_picture_gives_the_cost_of_each_part() -> None:
    architecture = (
        families.get("two_conv").space.with_override({"depth": 1}).sample(RandomTrial(1), (1, 28, 28), 10)
    )
    layers = analyse(architecture).layers
    head = sum(layer.params for layer in layers if layer.name.startswith("head."))
    assert f"{head:,} params" in _words(svg(architecture))


def test_pictures_are_plain_svg_in_the_colour_of_the_page() -> None:
    for architecture in [_diverse(), *_samples()]:
        picture = svg(architecture)
        root = ElementTree.fromstring(picture)
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
            *("svg", "title", "desc", "rect", "text", "path", "circle")
        }
        for element in root.iter():
            assert not [name for name in element.attrib if name == "style" or name.startswith("on")]
            assert element.get("fill") in (None, "none", "currentColor")
        assert root.get("role") == "img"
        assert (root.findtext(f"{SVG}title") or "").startswith("Architecture ")
        assert root.findtext(f"{SVG}desc") == summary(architecture)
        assert len(picture) < 60_000


def test_nothing_is_drawn_outside_the_picture() -> None:
    for architecture in [_diverse(), *_samples()]:
        root = ElementTree.fromstring(svg(architecture))
        _, _, width, height = map(float, (root.get("viewBox") or "").split())
        for box in root.iter(f"{SVG}rect"):
            x, y, w, h = (float(box.get(name) or 0) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert y >= 0
            assert x + w <= width
            assert y + h <= height
        for label in root.iter(f"{SVG}text"):
            assert 0 <= float(label.get("x") or -1) <= width
            assert 0 <= float(label.get("y") or -1) <= height


def test_boxes_do_not_cut_into_each_other() -> None:
    for architecture in [_diverse(), *_samples()]:
        boxes = [
            tuple(float(box.get(name) or 0) for name in ("x", "y", "width", "height"))
            for box in ElementTree.fromstring(svg(architecture)).iter(f"{SVG}rect")
            if (box.get("class") or "").split()[0] not in ("stage", "head")
        ]
        for index, (x, y, w, h) in enumerate(boxes):
            for u, v, s, t in boxes[:index]:
                assert x >= u + s or u >= x + w or y >= v + t or v >= y + h


def test_equal_architectures_have_equal_pictures() -> None:
    assert svg(_diverse()) == svg(_diverse())


def test_text_is_escaped() -> None:
    canvas = Canvas(100)
    canvas.text(0, 0, "<script>&")
    canvas.box(0, 0, 1, 1, '"><script>')
    picture = canvas.render(10, "<b>", "</desc>")
    assert "<script" not in picture
    assert ElementTree.fromstring(picture).findtext(f"{SVG}title") == "<b>"


@pytest.mark.parametrize("family", families.names())
def test_a_summary_is_one_line(family: str) -> None:
    for seed in range(50):
        line = summary(families.get(family).space.sample(RandomTrial(seed), (1, 28, 28), 10))
        assert re.match(r"\d stages?: ", line)
        assert line.endswith(", 10")
        assert "\n" not in line


def test_a_summary_names_kernels_fusion_and_head() -> None:
    assert summary(_diverse()) == (
        "2 stages: 16·3x3 bias|16·dw5x5 m2|16·7x1+16·1x7 project 48 ↓ → "
        "64·3x3 g4 d2|64·31x31 weighted se16 residual ↓, avg, 1024, 1024, 100000"
    )


def test_text_has_a_line_for_every_stage_and_sums_up() -> None:
    architecture = _diverse()
    lines = text(architecture).splitlines()
    starts = ["output", "input", "stage 1", "stage 2", "head", "total"]
    assert [line.strip().startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 6
    assert lines[-1].split() == [
        "total",
        f"{analyse(architecture).params:,}",
        f"{analyse(architecture).macs:,}",
    ]
