# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/base/libbase.a
core_base_libbase_a_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(JSON_CFLAGS)
core_base_libbase_a_SOURCES = \
	core/base/arena.c core/base/arena.h \
	core/base/error.c core/base/error.h \
	core/base/json.c \
	core/base/library.c core/base/library.h \
	core/base/loop-thread.c core/base/loop-thread.h \
	core/base/log.c core/base/log.h \
	core/base/page-guard.c core/base/page-guard.h \
	core/base/path.c core/base/path.h \
	core/base/reactor.c core/base/reactor.h \
	core/base/sha256.c core/base/sha256.h \
	core/base/store.c core/base/store.h \
		core/base/text.c core/base/text.h \
	core/base/timeline.c core/base/timeline.h

if HAVE_CMOCKA
BASE_TESTS = tests/unit/arena_test tests/unit/log_test tests/unit/page_guard_test tests/unit/path_test tests/unit/reactor_test tests/unit/store_test tests/unit/text_test
check_PROGRAMS += $(BASE_TESTS)
TESTS += $(BASE_TESTS)
tests_unit_arena_test_SOURCES = tests/unit/arena_test.c
tests_unit_arena_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_arena_test_LDADD = $(UNIT_LIBS)
tests_unit_log_test_SOURCES = tests/unit/log_test.c
tests_unit_log_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_log_test_LDADD = $(UNIT_LIBS)
tests_unit_page_guard_test_SOURCES = tests/unit/page_guard_test.c
tests_unit_page_guard_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_page_guard_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=madvise
tests_unit_page_guard_test_LDADD = $(UNIT_LIBS)
tests_unit_path_test_SOURCES = tests/unit/path_test.c
tests_unit_path_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_path_test_LDADD = $(UNIT_LIBS)
tests_unit_reactor_test_SOURCES = tests/unit/reactor_test.c
tests_unit_reactor_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_reactor_test_LDADD = $(UNIT_LIBS)
tests_unit_store_test_SOURCES = tests/unit/store_test.c
tests_unit_store_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_store_test_LDADD = $(UNIT_LIBS)
tests_unit_text_test_SOURCES = tests/unit/text_test.c
tests_unit_text_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_text_test_LDADD = $(UNIT_LIBS)
endif
