"""Tables as dataclasses: a mistake is named by its field."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from edgewright.errors import InputError
from edgewright.tables import read_table


@dataclass(frozen=True)
class Engine:
    power_kw: float
    fuel: Literal["petrol", "diesel"] = "petrol"


@dataclass(frozen=True)
class Car:
    name: str
    engine: Engine = field(default_factory=lambda: Engine(50.0))
    doors: tuple[int, ...] = ()

    def __post_init__(self):
        if len(self.doors) > 6:
            raise InputError(f"car {self.name!r}: a car has at most 6 doors, got {len(self.doors)}")


def test_a_table_becomes_the_dataclass_with_those_within():
    car = read_table(Car, {"name": "mine", "engine": {"power_kw": 3}, "doors": [1, 2]}, "the car")
    assert car == Car("mine", Engine(3.0), (1, 2))
    assert read_table(Car, {"name": "mine"}, "the car") == Car("mine")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({}, "^the car lacks name$"),
        ({"name": 3}, "^the car: name is 3: input should be a valid string$"),
        ({"name": "a", "engine": {}}, "^the car lacks engine.power_kw$"),
        ({"name": "a", "engine": {"power": 1}}, "^the car has no field engine.power; did you mean power_kw\\?$"),
        ({"name": "a", "power_kw": 4}, "^the car has no field power_kw; did you mean engine.power_kw\\?$"),
        ({"name": "a", "wheels": 4}, "^the car has no field wheels; there are: name, engine, doors$"),
        ({"name": "a", "engine": {"power_kw": "9"}}, "^the car: engine.power_kw is '9': input should be a valid numb"),
        ({"name": "a", "engine": {"power_kw": 9, "fuel": "gas"}}, "engine.fuel is 'gas': input should be 'petrol' or"),
        ({"name": "a", "doors": [1, True]}, "doors.1 is True: input should be a valid integer"),
        ({"name": "a", "doors": [1] * 7}, "^car 'a': a car has at most 6 doors, got 7$"),
        ({"name": "a", "doors": [object()]}, "^the car may hold only numbers, texts, lists and tables: Object of type"),
        ({"name": "a", "engine": 7}, "^the car: engine is 7: input should be an object"),
    ],
)
def test_what_is_wrong_is_named(table, sentence):
    with pytest.raises(InputError, match=sentence):
        read_table(Car, table, "the car")
