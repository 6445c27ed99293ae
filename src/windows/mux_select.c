/*
 * Winsock's select. Its sets are arrays, and as long as one makes them, so they are made from the
 * array that poll would be handed: nothing of a bitmap's limit is left.
 */
#include "mux_poll_array.h"

static int select_wait(void *state, int timeout)
{
	return poll_array_wait(state, timeout, os_select);
}

const struct mux_backend mux_select = {
	.name = "select",
	.has_edge = false,
	.descriptor_limit = 0,
	.open = poll_array_open,
	.close = poll_array_close,
	.want = poll_array_want,
	.wait = select_wait,
};
