"""Whatever a client may send by the schema is answered: made-up calls of every root field, never a 500."""

import random
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_leaf_type,
    is_union_type,
)
from stash_world import world

from simulators.fake_stash.routes import make_engine

DEEPEST = 3
# They ask other servers, or change where the plugins and the log are.
LEFT_OUT = {"configureGeneral", "availablePackages", "installPackages", "updatePackages", "uninstallPackages"}

SCALARS: dict[str, list[Any]] = {
    "ID": ["1", "2", "99", 3, "x"],
    "Int": [0, 1, -1, 5],
    "Float": [0.0, 1.5],
    "String": ["", "x", "2024", "[", "id", "title"],
    "Boolean": [True, False],
    "Map": [{}, {"a": 1}],
    "Any": [1, "x", None],
    "Time": ["2024-01-01T00:00:00Z", "x"],
    "Timestamp": ["2024-01-01T00:00:00+02:00", "x"],
    "Int64": [5],
    "BoolMap": [{"x": True}],
}


class Maker:
    """Random arguments and selections that fit the schema."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def value(self, type_: Any, depth: int = 0) -> Any:
        if isinstance(type_, GraphQLNonNull):
            return self.value_of(type_.of_type, depth)
        return None if depth > DEEPEST or self.rng.random() < 0.3 else self.value_of(type_, depth)

    def value_of(self, type_: Any, depth: int) -> Any:
        if isinstance(type_, GraphQLList):
            return [self.value(type_.of_type, depth + 1) for _ in range(self.rng.randint(0, 2))]
        if isinstance(type_, GraphQLInputObjectType):
            often = 0.25 if depth < 2 else 0.1
            return {
                key: self.value(field.type, depth + 1)
                for key, field in type_.fields.items()
                if isinstance(field.type, GraphQLNonNull) or self.rng.random() < often
            }
        if isinstance(type_, GraphQLEnumType):
            return self.rng.choice(list(type_.values))
        return self.rng.choice(SCALARS[type_.name])

    def selection(self, type_: Any, depth: int = 2) -> str:
        type_ = get_named_type(type_)
        if is_leaf_type(type_):
            return ""
        if is_union_type(type_):
            return "{ __typename }"
        parts = ["__typename"]
        for name, field in type_.fields.items():
            if any(isinstance(argument.type, GraphQLNonNull) for argument in field.args.values()):
                continue
            if is_leaf_type(get_named_type(field.type)):
                parts.append(name)
            elif depth and self.rng.random() < 0.4:
                parts.append(f"{name} {self.selection(field.type, depth - 1)}")
        return "{" + " ".join(parts) + "}"

    def call(self, kind: str, name: str, field: Any) -> tuple[str, dict[str, Any]]:
        given = {
            key: self.value(argument.type)
            for key, argument in field.args.items()
            if isinstance(argument.type, GraphQLNonNull) or self.rng.random() < 0.7
        }
        declared = ", ".join(f"${key}: {field.args[key].type}" for key in given)
        used = ", ".join(f"{key}: ${key}" for key in given)
        heads = (f"({declared})", f"({used})") if given else ("", "")
        return f"{kind}{heads[0]} {{ {name}{heads[1]} {self.selection(field.type)} }}", given


@pytest.mark.parametrize("seed", range(3))
def test_every_root_field_answers_whatever_it_is_asked(tmp_path, seed: int):
    print(f"seed {seed}")
    maker = Maker(seed)
    schema = make_engine().schema
    with world(tmp_path) as stash:
        for _ in range(2):
            for kind, root in (("query", schema.query_type), ("mutation", schema.mutation_type)):
                assert root is not None
                for name in sorted(set(root.fields) - LEFT_OUT):
                    query, variables = maker.call(kind, name, root.fields[name])
                    answer = stash.post(query, variables)
                    assert answer.status == 200, (query, variables, answer.raw)
                    assert list(answer.json)[-1] == "data"
            stash.handle.reset()
