# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/control/libcontrol.a
# Of its own, because terminal.c is built for the plugin too.
core_control_libcontrol_a_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
core_control_libcontrol_a_SOURCES = \
	core/control/api.c core/control/api.h \
	core/control/api-client.c core/control/api-client.h \
	core/control/cluster-client.c core/control/cluster-client.h \
	core/control/console-attach.c core/control/console-client.c core/control/console-client.h core/control/console-exec.c \
	core/control/console-private.h plugins/console/terminal.c plugins/console/terminal.h \
	core/control/expect.c core/control/expect.h \
	core/control/http.c core/control/http.h core/control/http-parse.c core/control/http-parse.h \
	core/control/metrics.c core/control/metrics.h \
	core/control/plot.c core/control/plot.h \
	core/control/rundir.c core/control/rundir.h \
	core/control/trace.c core/control/trace.h

dist_check_SCRIPTS += tests/unit/cluster-verb.sh tests/unit/console-verb.sh tests/unit/machine-verbs.sh tests/unit/timeline.sh
TESTS += tests/unit/cluster-verb.sh tests/unit/console-verb.sh tests/unit/machine-verbs.sh tests/unit/timeline.sh
EXTRA_DIST += tests/unit/cluster-verb.py tests/unit/console-verb.py tests/unit/machine-verbs.py

if HAVE_CMOCKA
CONTROL_TESTS = tests/unit/api_test tests/unit/expect_test tests/unit/http_test tests/unit/metrics_test tests/unit/rundir_test \
	tests/unit/timeline_test
check_PROGRAMS += $(CONTROL_TESTS)
TESTS += $(CONTROL_TESTS)
endif
tests_unit_api_test_SOURCES = tests/unit/api_test.c
tests_unit_api_test_CFLAGS = $(UNIT_CFLAGS) $(JSON_CFLAGS)
tests_unit_api_test_LDADD = core/control/libcontrol.a $(UNIT_LIBS)
tests_unit_http_test_SOURCES = tests/unit/http_test.c
tests_unit_http_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_http_test_LDADD = core/control/libcontrol.a $(UNIT_LIBS)
tests_unit_metrics_test_SOURCES = tests/unit/metrics_test.c
tests_unit_metrics_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_metrics_test_LDADD = core/control/libcontrol.a $(UNIT_LIBS)
tests_unit_timeline_test_SOURCES = tests/unit/timeline_test.c
tests_unit_timeline_test_CFLAGS = $(UNIT_CFLAGS) $(JSON_CFLAGS)
tests_unit_timeline_test_LDADD = core/control/libcontrol.a $(UNIT_LIBS)
tests_unit_rundir_test_SOURCES = tests/unit/rundir_test.c
tests_unit_rundir_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_rundir_test_LDADD = core/control/libcontrol.a $(UNIT_LIBS)
tests_unit_expect_test_SOURCES = tests/unit/expect_test.c
tests_unit_expect_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_expect_test_LDADD = core/control/libcontrol.a $(UNIT_LIBS)
