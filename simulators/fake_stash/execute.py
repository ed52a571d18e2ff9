"""GraphQL answers as gqlgen 0.17.73 gives them: graphql-core parses and validates, this module executes.

graphql-core's own executor needs seconds for a page of a thousand scenes; here a query is turned into closures over
the schema's types which write JSON text directly. Kept as they must be: the order of fields, null where a field
failed (and its nearest nullable parent where it may not be null), the path of each error.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLSyntaxError,
    GraphQLUnionType,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableValues,
    build_schema,
    execute_sync,
    parse,
    type_from_ast,
    validate,
)
from graphql.execution.values import get_argument_values, get_directive_values, get_variable_values
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective

from .gojson import dumps, graphql_float, sorted_map

_QUOTED = re.compile(r"'([^']*)'")
_WHOLE = re.compile(r"[+-]?\d+")
PARSED_KEPT = 500
INTROSPECTIONS_KEPT = 50

Path_ = tuple[Any, ...] | None  # a linked list, last step first: (step, the path before it)


class Refusal(Exception):
    """The request is not run at all: broken syntax, a field that is not there, a variable of the wrong type."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


class _Bubble(Exception):
    """A field that may not be null is: its parent becomes null in its place. The error is already noted."""


@dataclass(frozen=True)
class Prepared:
    """A request that may run."""

    text: str
    document: DocumentNode
    operation: OperationDefinitionNode
    variables: VariableValues

    @property
    def kind(self) -> str:
        return self.operation.operation.value


@dataclass(frozen=True)
class Answer:
    data: str  # JSON text
    errors: list[dict[str, Any]]

    def body(self) -> str:
        return reply_body(self.data, self.errors)


def reply_body(data: str, errors: list[dict[str, Any]]) -> str:
    """`errors` first and only when there are any, then `data`, always."""
    return (f'{{"errors":{dumps(errors)},' if errors else "{") + f'"data":{data}}}'


def _problem(error: GraphQLError, code: str) -> dict[str, Any]:
    # gqlparser puts names in double quotes.
    problem: dict[str, Any] = {"message": _QUOTED.sub(r'"\1"', error.message)}
    if error.locations:
        problem["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    return problem | {"extensions": {"code": code}}


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _is_bool_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, bool) for item in value.values())


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_moment(value: Any) -> bool:
    """RFC 3339, or what comes near enough for Stash to read it."""
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        return False
    return True


# gqlgen reads scalars of its own when a field is run, not when the request is validated: a wrong one is an error of
# that field, in an answer with status 200.
_SCALARS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "Map": (_is_map, "is not a map"),
    "BoolMap": (_is_bool_map, "is not a map of booleans"),
    "Int64": (_is_whole, "is not an int"),
    "Time": (_is_moment, "is not a time in RFC 3339"),
    "Timestamp": (_is_moment, "is not a time in RFC 3339"),
}


class BadInput(Exception):
    """An argument's scalar cannot be read."""


def _check_scalars(type_: Any, value: Any) -> None:
    """Raises BadInput when a scalar of Stash's own, however deep, has the wrong form."""
    if value is None:
        return
    if isinstance(type_, GraphQLNonNull):
        _check_scalars(type_.of_type, value)
    elif isinstance(type_, GraphQLList):
        for item in value:
            _check_scalars(type_.of_type, item)
    elif isinstance(type_, GraphQLInputObjectType):
        for key, item in value.items():
            _check_scalars(type_.fields[key].type, item)
    elif type_.name in _SCALARS:
        test, words = _SCALARS[type_.name]
        if not test(value):
            raise BadInput(f"{dumps(value)} {words}")


def _boolean(value: Any) -> str:
    return "true" if value else "false"


def _json_text(value: Any) -> str:
    return dumps(sorted_map(value))


def _id(value: Any) -> str:
    return f'"{value}"' if isinstance(value, int) else encode_basestring(value)


_WRITERS: dict[str, Callable[[Any], str]] = {
    "String": encode_basestring,
    "Time": encode_basestring,
    "Timestamp": encode_basestring,
    "ID": _id,
    "Int": str,
    "Int64": str,
    "Float": lambda value: graphql_float(float(value)),
    "Boolean": _boolean,
}


class Engine:
    """A schema with its resolvers.

    `fields[type][field]` is called with (context, object, **arguments) for objects and (context, **arguments) for the
    root types, where it may be a coroutine; a field without one is the object's attribute or key of that name.
    `expected` are the exceptions that are answers to the client. `type_of` names an object's type where the schema
    leaves it open. `shared` are the types whose text may be reused within one answer. `before` is called with the
    context and the name of each root field, and may refuse it with one of `expected`.
    """

    def __init__(
        self,
        schema_file: Path,
        fields: Mapping[str, Mapping[str, Callable[..., Any]]],
        expected: tuple[type[Exception], ...],
        type_of: Callable[[Any], str],
        shared: Iterable[str],
        before: Callable[[Any, str], None],
    ) -> None:
        self.schema: GraphQLSchema = build_schema(schema_file.read_text(encoding="utf-8"))
        self.fields = fields
        self.expected: tuple[type[Exception], ...] = (*expected, BadInput)
        self.type_of = type_of
        self.shared = frozenset(shared)
        self.before = before
        self._parsed: dict[str, DocumentNode | Refusal] = {}
        self._introspections: dict[tuple[str, str, str], str] = {}

    def document(self, text: str) -> DocumentNode:
        """Parsed and validated, from memory when it was seen before. Raises Refusal."""
        known = self._parsed.get(text)
        if known is None:
            known = self._parse(text)
            if len(self._parsed) >= PARSED_KEPT:
                self._parsed.clear()
            self._parsed[text] = known
        if isinstance(known, Refusal):
            raise known
        return known

    def _parse(self, text: str) -> DocumentNode | Refusal:
        try:
            document = parse(text)
        except GraphQLSyntaxError as error:
            return Refusal([_problem(error, "GRAPHQL_PARSE_FAILED")])
        errors = validate(self.schema, document)
        if errors:
            return Refusal([_problem(error, "GRAPHQL_VALIDATION_FAILED") for error in errors])
        return document

    def prepare(self, text: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> Prepared:
        """Everything that can be said before running it. Raises Refusal."""
        if not text.strip():
            raise Refusal(
                [{"message": "no operation provided", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]
            )
        document = self.document(text)
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        if operation_name:
            operations = [node for node in operations if node.name and node.name.value == operation_name]
        if not operations:
            message = f"operation {operation_name} not found" if operation_name else "no operation provided"
            raise Refusal([{"message": message, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}])
        operation = operations[0]
        definitions = operation.variable_definitions or ()
        coerced = get_variable_values(self.schema, definitions, dict(variables or {}))
        if isinstance(coerced, list):
            coerced = get_variable_values(
                self.schema, definitions, self._loosened(definitions, variables or {})
            )
        if isinstance(coerced, list):
            raise Refusal([_problem(error, "GRAPHQL_VALIDATION_FAILED") for error in coerced])
        return Prepared(text, document, operation, coerced)

    def _loosened(self, definitions: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The variables with numbers as text where text is wanted, and the reverse: gqlparser lets both pass."""
        found = dict(variables)
        for definition in definitions:
            name = definition.variable.name.value
            type_ = type_from_ast(self.schema, definition.type)
            if name in found and type_ is not None:
                found[name] = _loosen(type_, found[name])
        return found

    async def run(self, prepared: Prepared, context: Any) -> Answer:
        return await _Execution(self, prepared, context, {}).run()

    async def event(self, prepared: Prepared, context: Any, value: Any) -> Answer:
        """One message of a subscription, whose root field has this value."""
        node = next(
            node for node in prepared.operation.selection_set.selections if isinstance(node, FieldNode)
        )
        return await _Execution(self, prepared, context, {node.name.value: value}).run()

    def introspect(self, prepared: Prepared, node: FieldNode) -> str:
        """`__schema` or `__type`, by graphql-core, remembered by the text of the query."""
        key = node.alias.value if node.alias else node.name.value
        memo = (prepared.text, key, repr(sorted(_plain(prepared.variables).items())))
        if memo not in self._introspections:
            operation = OperationDefinitionNode(
                operation=OperationType.QUERY,
                variable_definitions=prepared.operation.variable_definitions,
                selection_set=SelectionSetNode(selections=(node,)),
                name=None,
                directives=(),
            )
            fragments = [d for d in prepared.document.definitions if isinstance(d, FragmentDefinitionNode)]
            document = DocumentNode(definitions=(operation, *fragments))
            result = execute_sync(self.schema, document, variable_values=_plain(prepared.variables))
            if len(self._introspections) >= INTROSPECTIONS_KEPT:
                self._introspections.clear()
            self._introspections[memo] = dumps((result.data or {}).get(key))
        return self._introspections[memo]


def _loosen(type_: Any, value: Any) -> Any:
    if isinstance(type_, GraphQLNonNull):
        return _loosen(type_.of_type, value)
    if isinstance(type_, GraphQLList):
        return [_loosen(type_.of_type, item) for item in value] if isinstance(value, list) else value
    if isinstance(type_, GraphQLInputObjectType) and isinstance(value, dict):
        fields = type_.fields
        return {
            key: _loosen(fields[key].type, item) if key in fields else item for key, item in value.items()
        }
    if isinstance(value, bool):
        return value
    name = getattr(type_, "name", "")
    if name == "String" and isinstance(value, int | float):
        return dumps(value)
    if name == "Int" and isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    return value


def _plain(variables: Any) -> dict[str, Any]:
    """The mapping of values, whichever form this graphql-core keeps coerced variables in."""
    return dict(getattr(variables, "coerced", variables))


class _Execution:
    def __init__(self, engine: Engine, prepared: Prepared, context: Any, given: Mapping[str, Any]) -> None:
        self.engine = engine
        self.given = given  # values of root fields that need no resolver
        self.prepared = prepared
        self.context = context
        self.errors: list[dict[str, Any]] = []
        self.fragments = {
            node.name.value: node
            for node in prepared.document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    async def run(self) -> Answer:
        schema = self.engine.schema
        root = {
            "query": schema.query_type,
            "mutation": schema.mutation_type,
            "subscription": schema.subscription_type,
        }
        type_ = root[self.prepared.kind]
        assert type_ is not None
        parts = []
        try:
            for key, nodes in self.collect(type_, [self.prepared.operation.selection_set]).items():
                parts.append(f"{encode_basestring(key)}:{await self.root_field(type_, key, nodes)}")
        except _Bubble:
            return Answer("null", self.errors)
        return Answer("{" + ",".join(parts) + "}", self.errors)

    async def root_field(self, type_: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> str:
        name = nodes[0].name.value
        if name == "__typename":
            return f'"{type_.name}"'
        if name in ("__schema", "__type"):
            return self.engine.introspect(self.prepared, nodes[0])
        definition = type_.fields[name]
        path = (key, None)
        try:
            value = (
                self.given[name] if name in self.given else await self.resolve(type_, definition, nodes[0])
            )
            return self.completer(definition.type, nodes)(value, path)
        except self.engine.expected as error:
            self.note(error, path)
        except _Bubble:
            pass
        if isinstance(definition.type, GraphQLNonNull):
            raise _Bubble
        return "null"

    async def resolve(self, type_: GraphQLObjectType, definition: Any, node: FieldNode) -> Any:
        self.engine.before(self.context, node.name.value)
        arguments = get_argument_values(definition, node, self.prepared.variables)
        for name, value in arguments.items():
            _check_scalars(definition.args[name].type, value)
        value = self.engine.fields[type_.name][node.name.value](self.context, **arguments)
        return await value if inspect.isawaitable(value) else value

    def note(self, error: Exception | str, path: Path_) -> None:
        steps = []
        while path is not None:
            steps.append(path[0])
            path = path[1]
        self.errors.append({"message": str(error), "path": steps[::-1]})

    # Compiling.

    def collect(self, type_: GraphQLObjectType, sets: list[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        """The fields asked of an object of this type, by response key, in the order of the query."""
        found: dict[str, list[FieldNode]] = {}
        for selection_set in sets:
            self._collect(type_, selection_set, found, set())
        return found

    def _collect(
        self,
        type_: GraphQLObjectType,
        selection_set: SelectionSetNode,
        found: dict[str, list[FieldNode]],
        visited: set[str],
    ) -> None:
        for node in selection_set.selections:
            if node.directives and not self._included(node):
                continue
            if isinstance(node, FieldNode):
                found.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
                continue
            if isinstance(node, InlineFragmentNode):
                inner, condition = node.selection_set, node.type_condition
            else:
                name = node.name.value  # type: ignore[attr-defined]
                if name in visited:
                    continue
                visited.add(name)
                fragment = self.fragments[name]
                inner, condition = fragment.selection_set, fragment.type_condition
            if condition is None or self._applies(condition.name.value, type_):
                self._collect(type_, inner, found, visited)

    def _included(self, node: Any) -> bool:
        variables = self.prepared.variables
        skip = get_directive_values(GraphQLSkipDirective, node, variables)
        include = get_directive_values(GraphQLIncludeDirective, node, variables)
        return not (skip and skip["if"]) and (include is None or bool(include["if"]))

    def _applies(self, condition: str, type_: GraphQLObjectType) -> bool:
        if condition == type_.name:
            return True
        wider = self.engine.schema.type_map[condition]
        if isinstance(wider, GraphQLInterfaceType):
            return wider in type_.interfaces
        return isinstance(wider, GraphQLUnionType) and type_ in wider.types

    def completer(self, type_: Any, nodes: list[FieldNode]) -> Callable[[Any, Path_], str]:
        """A function from a value and its path to JSON text; raises _Bubble for null where it may not be."""
        if isinstance(type_, GraphQLNonNull):
            inner = self.completer(type_.of_type, nodes)

            def never_null(value: Any, path: Path_) -> str:
                if value is None:
                    self.note("must not be null", path)
                    raise _Bubble
                text = inner(value, path)
                if text == "null":
                    raise _Bubble
                return text

            return never_null
        if isinstance(type_, GraphQLList):
            return self._list_completer(type_, nodes)
        if isinstance(type_, GraphQLEnumType):
            return lambda value, path: "null" if value is None else f'"{value}"'
        if isinstance(type_, GraphQLScalarType):
            write = _WRITERS.get(type_.name, _json_text)
            return lambda value, path: "null" if value is None else write(value)
        sets = [node.selection_set for node in nodes if node.selection_set]
        if isinstance(type_, GraphQLObjectType):
            run = self.object_runner(type_, sets)
            return lambda value, path: "null" if value is None else run(value, path)
        runners: dict[str, Callable[[Any, Path_], str]] = {}

        def open_type(value: Any, path: Path_) -> str:
            if value is None:
                return "null"
            name = self.engine.type_of(value)
            if name not in runners:
                concrete = self.engine.schema.type_map[name]
                assert isinstance(concrete, GraphQLObjectType)
                runners[name] = self.object_runner(concrete, sets)
            return runners[name](value, path)

        return open_type

    def _list_completer(self, type_: Any, nodes: list[FieldNode]) -> Callable[[Any, Path_], str]:
        complete = self.completer(type_.of_type, nodes)
        nullable = not isinstance(type_.of_type, GraphQLNonNull)

        def item(value: Any, path: Path_) -> str:
            try:
                return complete(value, path)
            except _Bubble:
                if nullable:
                    return "null"
                raise

        def run(values: Any, path: Path_) -> str:
            if values is None:
                return "null"
            return "[" + ",".join([item(value, (index, path)) for index, value in enumerate(values)]) + "]"

        return run

    def object_runner(
        self, type_: GraphQLObjectType, sets: list[SelectionSetNode]
    ) -> Callable[[Any, Path_], str]:
        plan: list[tuple[str, str, Callable[[Any], Any], Callable[[Any, Path_], str], bool]] = []
        for key, nodes in self.collect(type_, sets).items():
            label = encode_basestring(key) + ":"
            name = nodes[0].name.value
            if name == "__typename":
                plan.append((label, key, lambda obj: type_.name, lambda value, path: f'"{value}"', False))
                continue
            definition = type_.fields[name]
            plan.append(
                (
                    label,
                    key,
                    self._getter(type_.name, name, definition, nodes[0]),
                    self.completer(definition.type, nodes),
                    not isinstance(definition.type, GraphQLNonNull),
                )
            )
        expected: tuple[type[Exception], ...] = self.engine.expected

        def run(obj: Any, path: Path_) -> str:
            parts = []
            for label, key, get, complete, nullable in plan:
                here = (key, path)
                try:
                    parts.append(label + complete(get(obj), here))
                    continue
                except expected as error:
                    self.note(error, here)
                except _Bubble:
                    pass
                if not nullable:
                    raise _Bubble
                parts.append(label + "null")
            return "{" + ",".join(parts) + "}"

        if type_.name not in self.engine.shared:
            return run
        memo: dict[int, tuple[Any, str]] = {}

        def run_once(obj: Any, path: Path_) -> str:
            known = memo.get(id(obj))
            if known is not None:
                return known[1]
            before = len(self.errors)
            text = run(obj, path)
            if len(self.errors) == before:
                memo[id(obj)] = (obj, text)  # holding the object keeps its id its own
            return text

        return run_once

    def _getter(self, type_name: str, name: str, definition: Any, node: FieldNode) -> Callable[[Any], Any]:
        resolver = self.engine.fields.get(type_name, {}).get(name)
        if resolver is None:

            def plain(obj: Any) -> Any:
                return obj.get(name) if type(obj) is dict else getattr(obj, name)

            return plain
        if definition.args:
            arguments = get_argument_values(definition, node, self.prepared.variables)
            if arguments:
                context = self.context
                return lambda obj: resolver(context, obj, **arguments)
        return partial(resolver, self.context)
