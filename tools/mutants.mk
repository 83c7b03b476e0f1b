# `make mutants`: each planted fault must turn its test red.
.PHONY: mutants
mutants: ## negative controls: a fault at a time, each must turn a test red; M=name: one of them
	@tools/mutants $(M)
