# For fingers that type make; ./dev does the work.
run test lint services setup lock help:
	@./dev $@

.PHONY: run test lint services setup lock help
