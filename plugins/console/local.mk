# SPDX-License-Identifier: MIT
CONSOLE_SOURCES = \
	plugins/console/backend.h \
	plugins/console/backend-file.c \
	plugins/console/backend-pty.c \
	plugins/console/backend-socket.c \
	plugins/console/backend-stdio.c \
	plugins/console/backlog.c plugins/console/backlog.h \
	plugins/console/console.c plugins/console/console.h \
	plugins/console/console-input.c plugins/console/console-output.c \
	plugins/console/descriptor.c plugins/console/descriptor.h \
	plugins/console/escape.c \
	plugins/console/listener.c plugins/console/listener.h \
	plugins/console/session.c plugins/console/session.h \
	plugins/console/terminal.c plugins/console/terminal.h

plugin_LTLIBRARIES += plugins/console/console.la
plugins_console_console_la_SOURCES = $(CONSOLE_SOURCES)
plugins_console_console_la_LDFLAGS = $(PLUGIN_LDFLAGS)

CONSOLE_TESTS = tests/unit/console_client_test tests/unit/console_file_test tests/unit/console_plugin_test \
	tests/unit/console_terminal_test
if HAVE_CMOCKA
check_PROGRAMS += $(CONSOLE_TESTS)
TESTS += $(CONSOLE_TESTS)
endif
tests_unit_console_file_test_SOURCES = tests/unit/console_file_test.c tests/unit/console_host.h tests/unit/console_stream.h $(CONSOLE_SOURCES)
tests_unit_console_file_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_console_file_test_LDADD = $(CMOCKA_LIBS)
tests_unit_console_plugin_test_SOURCES = tests/unit/console_plugin_test.c tests/unit/console_host.h tests/unit/console_stream.h $(CONSOLE_SOURCES)
tests_unit_console_plugin_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_console_plugin_test_LDADD = $(CMOCKA_LIBS)
tests_unit_console_terminal_test_SOURCES = tests/unit/console_terminal_test.c tests/unit/console_host.h $(CONSOLE_SOURCES)
tests_unit_console_terminal_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_console_terminal_test_LDADD = $(CMOCKA_LIBS) -lutil
tests_unit_console_client_test_SOURCES = tests/unit/console_client_test.c tests/unit/console_host.h tests/unit/console_stream.h $(CONSOLE_SOURCES)
tests_unit_console_client_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_console_client_test_LDADD = $(CMOCKA_LIBS)
