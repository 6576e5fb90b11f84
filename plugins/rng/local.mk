# SPDX-License-Identifier: MIT
plugin_LTLIBRARIES += plugins/rng/rng.la
plugins_rng_rng_la_SOURCES = plugins/rng/rng.c
plugins_rng_rng_la_LDFLAGS = $(PLUGIN_LDFLAGS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/rng_test
TESTS += tests/unit/rng_test
endif
tests_unit_rng_test_SOURCES = tests/unit/rng_test.c tests/unit/plugin_fake.h plugins/rng/rng.c
tests_unit_rng_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_rng_test_LDADD = core/plugin/libplugin.a $(UNIT_LIBS)
