"""Statements that are asked all the time, written once and run on the driver's own cursor.

For a small statement SQLAlchemy's way from the question to the rows takes five times as long as the database takes to
answer. Here it writes the text, once a dialect and with its types; from then on values go to the driver as they are
bound, and what comes back becomes values or models' rows with nothing in between. Both work in the transaction of the
session that they are given, after whatever it has not written yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, overload

from sqlalchemy import Column, Connection, Dialect, Select, Table, UpdateBase
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import class_mapper
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine
from sqlmodel import Session, SQLModel

T = TypeVar("T")
Model = TypeVar("Model", bound=SQLModel)
One = TypeVar("One", bound=SQLModel)
Two = TypeVar("Two", bound=SQLModel)
Convert: TypeAlias = Callable[[Any], Any]
_STEP = 512  # lists that are longer have lengths of so many
Line: TypeAlias = Sequence[Any]  # a row's values, in the order of the statement's columns


def table_of(model: type[SQLModel]) -> Table:
    """Return the table that a model is mapped to."""
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel makes it and does not declare it
    return table


# ---------------------------------------------------------------- what comes back


class Rows(Generic[Model]):
    """Makes a model's rows out of values: of all its columns, or of those that are named and its key.

    A column that was left out raises when it is asked for. In a transaction that writes, a row is the session's own,
    brought up to date; otherwise it belongs to nobody.
    """

    def __init__(self, model: type[Model], names: Iterable[str] = ()) -> None:
        table = table_of(model)
        (self._key,) = (column.key for column in table.primary_key)
        wanted = {self._key, *names} if names else set(table.columns.keys())
        self.columns: list[Column[Any]] = [column for column in table.columns if column.key in wanted]
        self._model = model
        self._names = [column.key for column in self.columns]
        self._place = self._names.index(self._key)
        self._left_out = set(table.columns.keys()) - wanted
        self._new: Callable[[], Model] | None = None  # known once all models are

    def __call__(self, tx: Session, line: Line) -> Model:
        """Return one row."""
        key = (self._model, (line[self._place],), None)
        own: Model | None = tx.identity_map.get(key) if tx.autoflush else None
        if own is not None:
            own.__dict__.update(zip(self._names, line, strict=True))
            instance_state(own).expired_attributes.difference_update(self._names)
            return own
        if self._new is None:
            self._new = class_mapper(self._model).class_manager.new_instance
        row = self._new()
        row.__dict__.update(zip(self._names, line, strict=True))
        state = instance_state(row)
        state.key = key
        state.expired_attributes.update(self._left_out)
        if tx.autoflush:
            tx.add(row)
        return row


def _values(_: Session, line: Line) -> tuple[Any, ...]:
    return tuple(line)


# ---------------------------------------------------------------- what is asked


class Query(Generic[T]):
    """A SELECT. `made` makes each row of what its columns say; without it a row is a tuple.

    `many` names the parameter that is a list, where there is one; it must not be empty.
    """

    @overload
    def __init__(self: Query[tuple[Any, ...]], statement: Select[Any], *, many: str = ...) -> None: ...
    @overload
    def __init__(self, statement: Select[Any], made: Callable[[Session, Line], T], *, many: str = ...) -> None: ...
    def __init__(
        self, statement: Select[Any], made: Callable[[Session, Line], Any] = _values, *, many: str = ""
    ) -> None:
        self._statement = statement
        self._made = made
        self._many = many
        self._types = [column.type for column in statement.selected_columns]
        self._texts: dict[tuple[str, int], tuple[_Text, list[tuple[int, Convert]]]] = {}

    def all(self, tx: Session, **values: Any) -> list[T]:
        """Return every row."""
        if tx.autoflush:
            tx.flush()
        connection = _connection(tx)
        text, converts = self._text(connection.dialect, values)
        made: list[T] = []
        for found in text.run(connection, [values])[0]:
            line = list(found)
            for place, convert in converts:
                if line[place] is not None:
                    line[place] = convert(line[place])
            made.append(self._made(tx, line))
        return made

    def first(self, tx: Session, **values: Any) -> T | None:
        """Return the first row, None where there is none."""
        found = self.all(tx, **values)
        return found[0] if found else None

    def one(self, tx: Session, **values: Any) -> T:
        """Return the row that is there for certain."""
        (found,) = self.all(tx, **values)
        return found

    def _text(self, dialect: Dialect, values: dict[str, Any]) -> tuple[_Text, list[tuple[int, Convert]]]:
        length = 0
        if self._many:
            given = list(values[self._many])
            # A text for each length would be too many; databases take some 32,000 values.
            length = 1 << (len(given) - 1).bit_length() if len(given) <= _STEP else -(-len(given) // _STEP) * _STEP
            values[self._many] = given + given[-1:] * (length - len(given))
        known = self._texts.get((dialect.name, length))
        if known is None:
            compiled = self._statement.compile(dialect=dialect)
            text = _text(compiled, {self._many: length} if self._many else {})
            converts = [(place, _from_driver(each, dialect)) for place, each in enumerate(self._types)]
            known = text, [(place, convert) for place, convert in converts if convert is not None]
            self._texts[dialect.name, length] = known
        return known


class Pair(Generic[One, Two]):
    """Makes two models' rows of one line; the first model's columns come first."""

    def __init__(self, one: Rows[One], two: Rows[Two]) -> None:
        self._one, self._two = one, two
        self._first = len(one.columns)
        self.columns: list[Column[Any]] = [*one.columns, *two.columns]

    def __call__(self, tx: Session, line: Line) -> tuple[One, Two]:
        """Return both rows."""
        return self._one(tx, line[: self._first]), self._two(tx, line[self._first :])


class Command:
    """An INSERT, UPDATE or DELETE with the parameters `names`; the session's own objects do not hear of it."""

    def __init__(self, statement: UpdateBase, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = list(names)
        self._texts: dict[str, _Text] = {}

    def run(self, tx: Session, *rows: Mapping[str, Any]) -> int:
        """Run it once for each mapping of values; return how many rows that changed."""
        tx.flush()  # what was added comes first, as it would with a statement of the session's
        connection = _connection(tx)
        text = self._texts.get(connection.dialect.name)
        if text is None:
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._names)
            text = self._texts[connection.dialect.name] = _text(compiled, {})
        return text.run(connection, rows)[1]


# ---------------------------------------------------------------- how it is run


@dataclass(frozen=True, kw_only=True)
class _Text:
    """What the driver is given."""

    sql: str
    order: Sequence[str] | None  # of the values, where the driver wants them by place
    fixed: Mapping[str, Any]  # values that the statement was built with, as the driver wants them
    converts: Mapping[str, Convert]
    lists: Mapping[str, Sequence[str]]  # a list's parameters

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Line], int]:
        """Return the lines that came back and how many rows changed; raises what SQLAlchemy raises."""
        bound = [self._bound(values) for values in rows]
        cursor = connection.connection.cursor()
        try:
            if len(bound) == 1:
                cursor.execute(self.sql, bound[0])
            else:
                cursor.executemany(self.sql, bound)
            return list(cursor.fetchall()) if cursor.description else [], cursor.rowcount
        except connection.dialect.loaded_dbapi.Error as error:
            base = connection.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(self.sql, None, error, base, dialect=connection.dialect) from error
        finally:
            cursor.close()

    def _bound(self, values: Mapping[str, Any]) -> Any:
        plain = dict(values)
        for name, parts in self.lists.items():
            plain.update(zip(parts, plain.pop(name), strict=True))
        for name, convert in self.converts.items():
            plain[name] = convert(plain[name])
        plain.update(self.fixed)
        return plain if self.order is None else [plain[name] for name in self.order]


def _text(compiled: SQLCompiler, lengths: Mapping[str, int]) -> _Text:
    """Return the driver's text of a statement whose lists have these lengths."""
    needed = {name for name, bind in compiled.binds.items() if bind.required}
    asked = {name: [None] * lengths[name] if name in lengths else None for name in needed}
    whole = compiled.construct_expanded_state(asked, escape_names=False)
    types: dict[str, TypeEngine[Any]] = {}
    for name, bind in compiled.binds.items():
        for part in whole.parameter_expansion.get(name, [name]):
            types[part] = bind.type
    lists = {name: whole.parameter_expansion[name] for name in lengths}
    open_names = (needed - set(lengths)).union(*lists.values())
    into = {name: convert for name, each in types.items() if (convert := _to_driver(each, compiled.dialect))}
    fixed = {
        name: into[name](value) if name in into else value
        for name, value in whole.parameters.items()
        if name not in open_names and name in types
    }
    return _Text(
        sql=whole.statement,
        order=whole.positiontup,
        fixed=fixed,
        converts={name: convert for name, convert in into.items() if name in open_names},
        lists=lists,
    )


def _to_driver(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _from_driver(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _connection(tx: Session) -> Connection:
    return tx.bind if isinstance(tx.bind, Connection) else tx.connection()
