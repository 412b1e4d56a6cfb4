# train.mk: what training an adapter needs: an environment of its own, apart from everything else.
TRAIN = $(BUILD)/train

train-deps: $(TRAIN)/.ready ## install what `hydraglot plugin train` needs: torch, transformers, peft
$(TRAIN)/.ready: plugins/train/requirements.txt
	@.ci/deps train
	$(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@
