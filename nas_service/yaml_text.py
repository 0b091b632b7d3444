"""Data as YAML that our own reader accepts again: no anchors, keys in order, short lists on one line."""

import textwrap
from typing import Any

import yaml

from nas_service.views import FamilyView

WIDTH = 88


class _Dumper(yaml.SafeDumper):
    """Writes a value that stands twice in full both times, for readers refuse aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # Only double quotes escape; a line break of Unicode would be read back as a space.
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)

    def serialize(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.CollectionNode):
            # The outermost one never goes on one line, however short it is.
            node.flow_style = not node.value
        super().serialize(node)


_Dumper.add_representer(str, _Dumper.represent_str)


def yaml_text(data: Any) -> str:
    """Return plain data as YAML; lists and mappings of scalars alone stand on one line."""
    return yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=None
    )


def family_yaml(family: FamilyView) -> str:
    """Return a family's search space as YAML, told what it is in comments: what a study takes as `space`."""
    told = [f"{family.name}: {family.summary}", f"Source: {family.source}"]
    lines = [line for text in told for line in textwrap.wrap(text, WIDTH - 2)]
    return "".join(f"# {line}\n" for line in lines) + yaml_text(family.space)
