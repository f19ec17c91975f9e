"""The project as a stranger gets it: a bare Debian, the README, an installed wheel."""
