"""How fast it is, beside a bare Autobahn echo measured in the same run. See docs/performance.md."""
