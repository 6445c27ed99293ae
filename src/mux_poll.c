/* poll(2), on Windows WSAPoll. */
#include "mux_poll_array.h"

static int poll_wait(void *state, int timeout)
{
	return poll_array_wait(state, timeout, os_poll);
}

const struct mux_backend mux_poll = {
	.name = "poll",
	.has_edge = false,
	.descriptor_limit = 0,
	.open = poll_array_open,
	.close = poll_array_close,
	.want = poll_array_want,
	.wait = poll_wait,
};
