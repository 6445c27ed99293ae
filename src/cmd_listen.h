/* The three ways in which listen serves; cmd_listen chooses. */
#ifndef MUXCAT_CMD_LISTEN_H
#define MUXCAT_CMD_LISTEN_H

#include "cmd.h"

/* One connection, joined with stdin and stdout. */
int cmd_listen_one(const struct options *options);

/* -k: stdin to every client, what clients send to stdout. */
int cmd_listen_many(const struct options *options);

/* --to: each connection relayed to one that is dialled for it. */
int cmd_listen_relay(const struct options *options);

#endif
