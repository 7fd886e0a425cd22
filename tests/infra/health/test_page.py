import re
from pathlib import Path

from infra.health.broker import AlarmSight, BrokerSight
from infra.health.database import DatabaseSight
from infra.process_name import ProcessName
from infra.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[3] / "docs/health.md").read_text()


def test_the_page_names_every_component_and_no_other() -> None:
    table = PAGE.split("| component |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {*BrokerSight.names, *DatabaseSight.names, *AlarmSight.names}


def test_the_page_names_every_process_that_a_probe_can_ask_for() -> None:
    named = set(re.findall(r"`([\w-]+)`", PAGE.split("Processes: ")[1].split(". ")[0]))
    assert named == set(ProcessName)


def test_the_settings_that_the_page_names_exist() -> None:
    named = {name.removeprefix(PREFIX).lower() for name in re.findall(r"LEDGERQ_[A-Z_]+", PAGE)}
    assert named <= Settings.model_fields.keys()
