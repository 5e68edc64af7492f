"""How long one step or one image takes on this device."""

from reff_bench.measure.laps import Clock, find_pace
from reff_bench.measure.measuring import device_name, measure
from reff_bench.measure.work import PREPARE, Prepared

__all__ = ["PREPARE", "Clock", "Prepared", "device_name", "find_pace", "measure"]
