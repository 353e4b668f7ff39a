/*
 * frame-port: sends and hears raw Ethernet frames on one interface, for the tests of the guests' networks.
 *
 *   frame-port INTERFACE
 *
 * Prints READY; then each line of standard input, the bytes of a frame in hexadecimal, is sent, and each frame that comes in
 * (whomever it is meant for) is printed the same way. Ends with its input.
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
	if (argc != 2) {
		fprintf(stderr, "usage: frame-port INTERFACE\n");
		return 2;
	}
	int port = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	if (port < 0)
		die("socket");
	struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	place.sll_ifindex = if_nametoindex(argv[1]);
	if (bind(port, (struct sockaddr *)&place, sizeof(place)) < 0)
		die(argv[1]);
	struct packet_mreq all = {.mr_ifindex = place.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
	if (setsockopt(port, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)
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
