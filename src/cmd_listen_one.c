#include "cmd_join.h"
#include "cmd_listen.h"

struct listen_one {
	struct cmd cmd;
	struct server server;
	struct cmd_join join;
	bool taken;
};

static void over(struct cmd_join *join)
{
	struct listen_one *listen = container_of(join, struct listen_one, join);

	server_leave(&listen->server);
	server_close(&listen->server);
}

static void arrived(struct server *server, const struct transport *arrival)
{
	struct listen_one *listen = server->owner;

	if (listen->taken) { /* came in the same turn as the first one */
		server_refuse(server, arrival);
		return;
	}
	if (!cmd_take(&listen->cmd, server, arrival, &listen->join.connection))
		return;
	listen->taken = true;
	server_stop(server);
	listen->join.over = over;
	cmd_join_start(&listen->join, &listen->cmd);
}

static void stop(struct cmd *cmd)
{
	struct listen_one *listen = container_of(cmd, struct listen_one, cmd);

	if (listen->taken)
		cmd_join_stop(&listen->join);
	else
		server_close(&listen->server);
}

int cmd_listen_one(const struct options *options)
{
	struct listen_one listen = {
		.cmd = { .joins = true },
		.server = { .owner = &listen, .arrived = arrived },
	};
	int status = cmd_open(&listen.cmd, options, stop);

	if (status)
		return status;
	cmd_serve(&listen.cmd, &listen.server);
	return cmd_run(&listen.cmd);
}
