"""What the documents show works as they say."""

import re
from pathlib import Path

import yaml

from search_spaces import Architecture, RandomTrial, SearchSpace, analyse, operations
from search_spaces.architecture import CONNECTIONS, DOWNSAMPLES, FUSIONS, NORMS
from search_spaces.layers.pointwise import ACTIVATIONS
from search_spaces.ranges import HEAD_FIELDS, STAGE_KEYS, branch_fields

ROOT = Path(__file__).parents[2]


def test_the_documented_space_samples_and_forbids() -> None:
    text = (ROOT / "docs/spaces.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    space = SearchSpace.from_dict(yaml.safe_load(block[1]))
    drawn = [space.sample(RandomTrial(seed), (1, 28, 28), 10) for seed in range(300)]
    reasons = {space.forbidden(architecture) for architecture in drawn}
    assert reasons == {
        None,
        "stage.fusion selective and stage.channels at least 128",
        "depth 3 and head.bins 2",
    }


def test_every_field_and_value_is_documented() -> None:
    text = (ROOT / "docs/spaces.md").read_text(encoding="utf-8")
    names = [*STAGE_KEYS, *HEAD_FIELDS, *branch_fields(), *operations.names()]
    names += [*FUSIONS, *CONNECTIONS, *NORMS, *ACTIVATIONS, *DOWNSAMPLES]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_example_architecture_is_one() -> None:
    data = yaml.safe_load((ROOT / "examples/two_scales.yaml").read_text(encoding="utf-8"))
    assert analyse(Architecture.from_dict(data)).params < 10_000
