/* Runs tests with a loop of every backend, level- and edge-triggered: a new one for each test. */
#ifndef MUXCAT_EACH_LOOP_H
#define MUXCAT_EACH_LOOP_H

#include "mux.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>

static struct mux *mux;
static const char *backend;
static bool edge;

static int open_loop(void **state)
{
	int error;

	(void)state;
	mux = mux_new(backend, edge, &error);
	return mux ? 0 : error;
}

static int close_loop(void **state)
{
	(void)state;
	mux_free(mux);
	return 0;
}

#define ON_A_LOOP(test) cmocka_unit_test_setup_teardown(test, open_loop, close_loop)

/* Returns how many have failed. */
static int run_on_each_loop(const char *what, const struct CMUnitTest *tests, size_t count)
{
	int failed = 0;

	for (const char *const *name = mux_backends(); *name; name++)
		for (int e = 0; e <= (mux_backend_has_edge(*name) ? 1 : 0); e++) {
			char group[64];

			backend = *name;
			edge = e;
			snprintf(group, sizeof(group), "%s, %s%s", what, backend,
				edge ? " --edge" : "");
			failed += _cmocka_run_group_tests(group, tests, count, NULL, NULL);
		}
	return failed;
}

#endif
