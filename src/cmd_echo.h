/* How echo serves datagrams: it has no clients, and each goes back to where it came from. */
#ifndef MUXCAT_CMD_ECHO_H
#define MUXCAT_CMD_ECHO_H

#include "cmd.h"

int cmd_echo_datagrams(const struct options *options);

#endif
