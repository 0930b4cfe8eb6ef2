/* A bare UDP relay on loopback: what any server that receives and sends a datagram pays to this kernel, and nothing more.
 * The yardstick of npm run perf. What comes from port B goes to port A, everything else to B; nothing is looked at.
 *
 *   relay PORT A B one      recvfrom and sendto, one datagram at a time
 *   relay PORT A B batch    recvmmsg and sendmmsg, up to 64
 *
 * Ends with its parent, or after LIFETIME_SEC. Compiled by contestants.ts. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, DATAGRAM_BYTES = 2304, BUFFER_BYTES = 4 << 20, LIFETIME_SEC = 600 };

static char payload[BATCH][DATAGRAM_BYTES];
static struct sockaddr_in source[BATCH], a, b;

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static struct sockaddr_in *target_of(const struct sockaddr_in *from) { return from->sin_port == b.sin_port ? &a : &b; }

static void relay_one(int fd) {
  for (;;) {
    socklen_t size = sizeof source[0];
    ssize_t length = recvfrom(fd, payload[0], DATAGRAM_BYTES, 0, (struct sockaddr *)&source[0], &size);
    if (length >= 0) sendto(fd, payload[0], length, 0, (struct sockaddr *)target_of(&source[0]), sizeof a);
  }
}

static void relay_batches(int fd) {
  static struct mmsghdr messages[BATCH];
  static struct iovec spans[BATCH];
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      spans[i] = (struct iovec){payload[i], DATAGRAM_BYTES};
      messages[i].msg_hdr = (struct msghdr){
          .msg_name = &source[i], .msg_namelen = sizeof source[i], .msg_iov = &spans[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      spans[i].iov_len = messages[i].msg_len;
      messages[i].msg_hdr.msg_name = target_of(&source[i]);
    }
    for (int sent = 0; sent < count;) {
      int done = sendmmsg(fd, messages + sent, count - sent, 0);
      sent += done > 0 ? done : 1;  // a datagram that the kernel refuses is lost
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: relay PORT A B one|batch\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(LIFETIME_SEC);
  struct sockaddr_in own = loopback(argv[1]);
  a = loopback(argv[2]);
  b = loopback(argv[3]);
  int bytes = BUFFER_BYTES, fd = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) {
    perror("relay: bind");
    return 1;
  }
  if (strcmp(argv[4], "batch") == 0) relay_batches(fd);
  relay_one(fd);
}
