#include "cmd_listen.h"

int cmd_listen(const struct options *options)
{
	if (options->to_count)
		return cmd_listen_relay(options);
	return options->keep_open ? cmd_listen_many(options) : cmd_listen_one(options);
}
