/*
 * frame-port: sends and hears raw Ethernet frames on one interface: announces the cluster's address, and plays guests in tests.
 *
 *   frame-port [--send] INTERFACE
 *
 * Prints READY; then each line of standard input, the bytes of a frame in hexadecimal, is sent, and each frame that comes in
 * (whomever it is meant for) is printed the same way; with --send it hears nothing. Ends with its input.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX 2048

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_line(int port, const char *line)
{
	unsigned char frame[FRAME_MAX];
	size_t length = 0;
	unsigned int byte;
	while (length < FRAME_MAX && sscanf(line + 2 * length, "%2x", &byte) == 1)
		frame[length++] = byte;
	if (send(port, frame, length, 0) < 0)
		die("send");
}

static void print_frame(int port)
{
	unsigned char frame[FRAME_MAX];
	struct sockaddr_ll from;
	socklen_t from_length = sizeof(from);
	ssize_t length = recvfrom(port, frame, sizeof(frame), 0, (struct sockaddr *)&from, &from_length);
	if (length < 0)
		die("recv");
	if (from.sll_pkttype == PACKET_OUTGOING)
		return;
	for (ssize_t i = 0; i < length; i++)
		printf("%02x", frame[i]);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int only_send = argc == 3 && strcmp(argv[1], "--send") == 0;
	if (argc != 2 && !only_send) {
		fprintf(stderr, "usage: frame-port [--send] INTERFACE\n");
		return 2;
	}
	const char *name = argv[argc - 1];
	// A socket of no protocol is given no frame.
	int heard = only_send ? 0 : htons(ETH_P_ALL);
	int port = socket(AF_PACKET, SOCK_RAW, heard);
	if (port < 0)
		die("socket");
	struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_protocol = heard};
	place.sll_ifindex = if_nametoindex(name);
	if (bind(port, (struct sockaddr *)&place, sizeof(place)) < 0)
		die(name);
	struct packet_mreq all = {.mr_ifindex = place.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
	if (!only_send && setsockopt(port, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)
		die("promiscuous");
	printf("READY\n");
	fflush(stdout);
	// Lines are taken from what was read so far: stdio would hold back the rest of a read from poll.
	static char input[2 * FRAME_MAX * 16];
	size_t held = 0;
	struct pollfd wait[2] = {{.fd = 0, .events = POLLIN}, {.fd = port, .events = POLLIN}};
	while (poll(wait, 2, -1) > 0) {
		if (wait[1].revents)
			print_frame(port);
		if (!wait[0].revents)
			continue;
		ssize_t got = read(0, input + held, sizeof(input) - 1 - held);
		if (got <= 0)
			return 0;
		held += got;
		input[held] = 0;
		char *line = input, *end;
		while ((end = strchr(line, '\n')) != NULL) {
			*end = 0;
			send_line(port, line);
			line = end + 1;
		}
		held -= line - input;
		memmove(input, line, held);
	}
	return 1;
}
