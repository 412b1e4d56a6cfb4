# Autobahn's testsuite: what tests/e2e/test_autobahn.py needs. Its cases come with kosoku, which runs
# them on today's Python; the suite's own package on PyPI wants Python 2.7.
.PHONY: autobahn
autobahn: $(BUILD)/tests/e2e/echo_server ## what Autobahn's testsuite needs, of check-long
	@[ -d $(BUILD)/autobahn/kosoku ] || $(PYTHON) -m pip install --quiet --no-deps \
	    --disable-pip-version-check --target $(BUILD)/autobahn kosoku==0.1.0
