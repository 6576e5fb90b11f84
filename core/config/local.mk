# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/config/libconfig.a
core_config_libconfig_a_CFLAGS = $(AM_CFLAGS) $(CONFIG_CFLAGS) $(JSON_CFLAGS)
core_config_libconfig_a_SOURCES = \
	core/config/config.c core/config/config.h \
	core/config/folder.c core/config/folder.h \
	core/config/keys.c core/config/keys.h \
	core/config/read.c core/config/read.h \
	core/config/source.c core/config/source.h \
	core/config/value.c core/config/value.h \
	core/config/value-json.c core/config/value-json.h

if HAVE_CMOCKA
CONFIG_TESTS = tests/unit/config_test tests/unit/config_hostile_test tests/unit/keys_test tests/unit/value_json_test
check_PROGRAMS += $(CONFIG_TESTS)
TESTS += $(CONFIG_TESTS)
CONFIG_TEST_LIBS = core/config/libconfig.a $(UNIT_LIBS) $(CONFIG_LIBS)
tests_unit_config_test_SOURCES = tests/unit/config_test.c
tests_unit_config_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_config_test_LDADD = $(CONFIG_TEST_LIBS)
tests_unit_config_hostile_test_SOURCES = tests/unit/config_hostile_test.c
tests_unit_config_hostile_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_config_hostile_test_LDADD = $(CONFIG_TEST_LIBS)
tests_unit_keys_test_SOURCES = tests/unit/keys_test.c
tests_unit_keys_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_keys_test_LDADD = $(CONFIG_TEST_LIBS)
endif

EXTRA_DIST += tests/unit/config
tests_unit_value_json_test_SOURCES = tests/unit/value_json_test.c
tests_unit_value_json_test_CFLAGS = $(UNIT_CFLAGS) $(JSON_CFLAGS)
tests_unit_value_json_test_LDADD = $(CONFIG_TEST_LIBS)
