"""Failpoints: what the environment may say. That they kill is shown by the crash rounds."""

from twisted.trial.unittest import SynchronousTestCase

from imserver.tap.failpoints import VARIABLE, armed


class Environment(SynchronousTestCase):
    def test_nothing_is_armed_by_default(self) -> None:
        self.assertIsNone(armed({}))
        self.assertIsNone(armed({VARIABLE: ""}))

    def test_faulty_values_are_refused(self) -> None:
        for value in ("x", "x:", ":3", "x:0", "x:-1", "x:1.5"):
            error = self.assertRaises(ValueError, armed, {VARIABLE: value})
            self.assertIn(value, str(error))

    def test_other_points_do_nothing(self) -> None:
        point = armed({VARIABLE: "after-commit:1"})
        assert point is not None
        point.hit("before-commit")
