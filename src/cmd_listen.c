#include "cmd_listen.h"

int cmd_listen(const struct options *options)
{
	if (options->to_count)
		return cmd_listen_relay(options);
	return options->keep_open ? cmd_listen_many(options) : cmd_listen_one(options);
}

int cmd_listen_timed_out(const struct options *options)
{
	char text[ADDRESS_TEXT];

	report_error("listen %s: nobody connected within %g s",
		address_text(&options->address, text), (double)options->timeout / 1000);
	return CMD_TIMED_OUT;
}
