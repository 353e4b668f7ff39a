/**
 * The resources of a container, by the names and in the units that OpenVZ gave them ("User Beancounters",
 * https://wiki.openvz.org/UBC), and what today's kernels can do for each. OpenVZ's kernel refused by its own counters;
 * ours has control groups and per-process limits, so some resources are only counted, and a few are not even that.
 * Nothing here pretends otherwise: `by` names what refuses, and where it is empty nothing does.
 */

/** Which control groups a host has; a hybrid one, whose memory and pids controllers are of v1, is `v1`. */
export type CgroupFamily = 'v1' | 'v2'

export type ResourceUnit =
  | 'bytes'
  | 'pages'
  | 'KiB'
  | 'count'
  | 'percent'
  | 'units'
  | 'level'
  | 'bytes/s'
  | 'operations/s'
  | 'kbit/s'
  | 'packets/s'

/** Of every architecture that Stead runs on. */
export const PAGE_BYTES = 4096

export interface ContainerResource {
  readonly unit: ResourceUnit
  /** One line for `ct counters --explain`. */
  readonly meaning: string
  /** What the barrier does; absent: it is kept and shown, and has no effect. */
  readonly barrier?: string
  /** The same of the limit. */
  readonly limit?: string
  /** What makes the kernel refuse; absent: it counts only. */
  readonly by: { readonly v1?: string; readonly v2?: string }
  /** To whom barrier and limit apply, where that is not the container as a whole. What is held is always the sum. */
  readonly each?: 'process' | 'user' | 'direction'
  /** Where `held` comes from; absent: nobody counts it. */
  readonly counted?: { readonly v1?: string; readonly v2?: string }
  /** What `failures` counts; absent: nobody counts refusals. */
  readonly failures?: string
  /** Refusals that are the limit at its ordinary work (a throttled processor) and no event. */
  readonly failuresAreOrdinary?: true
  /** What the kernel gives everybody where nothing is said; absent: no limit. */
  readonly ordinary?: number
  /** A change is for the next start only. */
  readonly changesAtStart?: true
}

const WITHIN_MEMORY = 'held within physpages, and bounded by its limit only'

export const CONTAINER_RESOURCES = {
  kmemsize: {
    unit: 'bytes',
    meaning: `kernel memory: stacks, page tables, inodes, pipes; ${WITHIN_MEMORY}`,
    by: {},
    counted: { v1: 'memory.kmem.usage_in_bytes', v2: 'memory.stat kernel' },
  },
  lockedpages: {
    unit: 'pages',
    meaning: 'memory that may not be swapped out (mlock)',
    barrier: 'what a process may lock',
    limit: 'to what it may raise that itself',
    by: { v1: 'RLIMIT_MEMLOCK', v2: 'RLIMIT_MEMLOCK' },
    each: 'process',
    counted: { v1: 'memory.stat unevictable', v2: 'memory.stat unevictable' },
  },
  privvmpages: {
    unit: 'pages',
    meaning: 'private memory that was allocated, whether used or not',
    barrier: 'what a process may allocate',
    limit: 'to what it may raise that itself',
    by: { v1: 'RLIMIT_DATA', v2: 'RLIMIT_DATA' },
    each: 'process',
    counted: { v1: '/proc/PID/status', v2: '/proc/PID/status' },
  },
  shmpages: {
    unit: 'pages',
    meaning: `shared memory and files in tmpfs; ${WITHIN_MEMORY}`,
    by: {},
    counted: { v1: 'memory.stat shmem', v2: 'memory.stat shmem' },
  },
  numproc: {
    unit: 'count',
    meaning: 'processes and threads',
    limit: 'a fork above it fails',
    by: { v1: 'pids.max', v2: 'pids.max' },
    counted: { v1: 'pids.current', v2: 'pids.current' },
    failures: 'forks that were refused',
  },
  physpages: {
    unit: 'pages',
    meaning: 'memory: processes, page cache and kernel memory',
    barrier:
      'v2: above it processes are slowed down and memory is reclaimed; v1: reclaimed first when the host is short',
    limit: 'above it memory is reclaimed; where that does not help, a process is killed',
    by: { v1: 'memory.limit_in_bytes', v2: 'memory.max' },
    counted: { v1: 'memory.usage_in_bytes', v2: 'memory.current' },
    failures: 'v2: allocations that were refused; v1: processes killed for one',
  },
  vmguarpages: {
    unit: 'pages',
    meaning: 'memory that stays the container’s while the host is short of it',
    barrier: 'v2: not reclaimed below it; v1: reclaimed down to it first',
    by: { v1: 'memory.soft_limit_in_bytes', v2: 'memory.low' },
  },
  oomguarpages: {
    unit: 'pages',
    meaning: 'memory and swap together, as OpenVZ promised it when the host runs out',
    by: {},
    counted: { v1: 'memory.memsw.usage_in_bytes', v2: 'memory.current and memory.swap.current' },
    failures: 'processes killed for want of memory',
  },
  numtcpsock: {
    unit: 'count',
    meaning: 'TCP sockets',
    by: {},
    counted: { v1: '/proc/PID/net/sockstat', v2: '/proc/PID/net/sockstat' },
  },
  numflock: {
    unit: 'count',
    meaning: 'file locks',
    by: {},
    counted: { v1: '/proc/locks', v2: '/proc/locks' },
  },
  numpty: {
    unit: 'count',
    meaning: 'pseudo-terminals; held: those that control a process',
    limit: 'no further one can be opened',
    by: { v1: 'devpts max', v2: 'devpts max' },
    counted: { v1: '/proc/PID/stat', v2: '/proc/PID/stat' },
    changesAtStart: true,
  },
  numsiginfo: {
    unit: 'count',
    meaning: 'signals that wait to be received',
    barrier: 'what the processes of one user may have waiting',
    limit: 'to what they may raise that themselves',
    by: { v1: 'RLIMIT_SIGPENDING', v2: 'RLIMIT_SIGPENDING' },
    each: 'user',
    counted: { v1: '/proc/PID/status', v2: '/proc/PID/status' },
  },
  tcpsndbuf: {
    unit: 'bytes',
    meaning: 'memory of TCP sockets; held: both directions; v2: of every kind of socket, within physpages',
    limit: 'v1: together with that of tcprcvbuf, sockets slow down above it; v2: within physpages only',
    by: { v1: 'memory.kmem.tcp.limit_in_bytes' },
    counted: { v1: 'memory.kmem.tcp.usage_in_bytes', v2: 'memory.stat sock' },
    failures: 'v1: how often sockets met the limit',
    failuresAreOrdinary: true,
  },
  tcprcvbuf: {
    unit: 'bytes',
    meaning: 'counted in tcpsndbuf: the kernel does not tell the directions apart',
    limit: 'v1: added to that of tcpsndbuf',
    by: { v1: 'memory.kmem.tcp.limit_in_bytes' },
  },
  othersockbuf: {
    unit: 'bytes',
    meaning: 'send buffers of sockets that are not TCP; not counted apart, bounded by physpages',
    by: {},
  },
  dgramrcvbuf: {
    unit: 'bytes',
    meaning: 'receive buffers of datagram sockets; not counted apart, bounded by physpages',
    by: {},
  },
  numothersock: {
    unit: 'count',
    meaning: 'sockets that are not TCP: UDP, Unix, netlink',
    by: {},
    counted: { v1: '/proc/PID/net/sockstat', v2: '/proc/PID/net/sockstat' },
  },
  dcachesize: {
    unit: 'bytes',
    meaning: `kernel memory that can be reclaimed, most of it names and inodes; ${WITHIN_MEMORY}`,
    by: {},
    counted: { v2: 'memory.stat slab_reclaimable' },
  },
  numfile: {
    unit: 'count',
    meaning: 'open files',
    barrier: 'what a process may have open',
    limit: 'to what it may raise that itself',
    by: { v1: 'RLIMIT_NOFILE', v2: 'RLIMIT_NOFILE' },
    each: 'process',
    counted: { v1: '/proc/PID/fd', v2: '/proc/PID/fd' },
  },
  numiptent: {
    unit: 'count',
    meaning: 'rules of the container’s own packet filter; not counted',
    by: {},
  },
  swappages: {
    unit: 'pages',
    meaning: 'memory that was swapped out',
    limit: 'no more is swapped out; needs a limit of physpages',
    by: { v1: 'memory.memsw.limit_in_bytes', v2: 'memory.swap.max' },
    counted: { v1: 'memory.memsw.usage_in_bytes', v2: 'memory.swap.current' },
    failures: 'v2: pages that could not be swapped out; v1: how often memory and swap met the limit',
    failuresAreOrdinary: true,
  },
  cpuunits: {
    unit: 'units',
    meaning: 'share of the processors while they are wanted by several; 1000 is the ordinary one',
    limit: 'the share itself',
    ordinary: 1000,
    by: { v1: 'cpu.shares', v2: 'cpu.weight' },
  },
  cpulimit: {
    unit: 'percent',
    meaning: 'processor time; 100 is one processor',
    limit: 'processes wait when it is used up',
    by: { v1: 'cpu.cfs_quota_us', v2: 'cpu.max' },
    counted: { v1: 'cpuacct.usage', v2: 'cpu.stat' },
    failures: 'periods of 100 ms in which processes had to wait',
    failuresAreOrdinary: true,
  },
  cpus: {
    unit: 'count',
    meaning: 'processors’ worth of time, as cpulimit in hundreds; the lower of the two holds',
    limit: 'processes wait when it is used up',
    by: { v1: 'cpu.cfs_quota_us', v2: 'cpu.max' },
  },
  ioprio: {
    unit: 'level',
    meaning:
      'priority of disk I/O, 0 (last) to 7 (first); 4 is the ordinary one; each level counts twice the one below',
    limit: 'the level itself',
    ordinary: 4,
    by: { v1: 'blkio.bfq.weight', v2: 'io.weight' },
  },
  iolimit: {
    unit: 'bytes/s',
    meaning: 'disk I/O, of each disk; v1 counts no writes through the page cache',
    limit: 'requests wait',
    by: { v1: 'stead-disk, blkio.throttle', v2: 'stead-disk, io.max' },
    each: 'direction',
    counted: { v1: 'blkio.throttle.io_service_bytes', v2: 'io.stat' },
  },
  iopslimit: {
    unit: 'operations/s',
    meaning: 'disk requests, of each disk; v1 counts no writes through the page cache',
    limit: 'requests wait',
    by: { v1: 'stead-disk, blkio.throttle', v2: 'stead-disk, io.max' },
    each: 'direction',
    counted: { v1: 'blkio.throttle.io_serviced', v2: 'io.stat' },
  },
  diskspace: {
    unit: 'KiB',
    meaning: 'space in the root file system',
    limit: 'its size: writing fails with “no space left”',
    by: { v1: 'file system', v2: 'file system' },
    counted: { v1: 'statfs', v2: 'statfs' },
    changesAtStart: true,
  },
  diskinodes: {
    unit: 'count',
    meaning: 'files, directories and links in the root file system',
    limit: 'given when it is made (mkfs -N) and grows with its size only',
    by: { v1: 'file system', v2: 'file system' },
    counted: { v1: 'statfs', v2: 'statfs' },
    changesAtStart: true,
  },
  netrate: {
    unit: 'kbit/s',
    meaning: 'network, each direction of each card',
    limit: 'packets wait, then are dropped',
    by: { v1: 'HTB', v2: 'HTB' },
    each: 'direction',
    counted: { v1: '/proc/PID/net/dev', v2: '/proc/PID/net/dev' },
  },
  packetrate: {
    unit: 'packets/s',
    meaning: 'packets that it sends, by each card; held: by all of them',
    limit: 'packets above it are dropped, after a fifth of a second’s worth at once',
    by: { v1: 'nftables', v2: 'nftables' },
    counted: { v1: '/proc/PID/net/dev', v2: '/proc/PID/net/dev' },
    failures: 'packets that were dropped',
  },
} as const satisfies Record<string, ContainerResource>

export type ContainerResourceName = keyof typeof CONTAINER_RESOURCES

export const CONTAINER_RESOURCE_NAMES = Object.keys(CONTAINER_RESOURCES) as readonly ContainerResourceName[]

export function containerResource(name: ContainerResourceName): ContainerResource {
  return CONTAINER_RESOURCES[name]
}

export function isContainerResource(name: string): name is ContainerResourceName {
  return Object.hasOwn(CONTAINER_RESOURCES, name)
}

/** What a kernel of the family can do for the resource; a host may lack the file all the same (`ContainerCgroup.lacks`). */
export function enforcementOf(name: ContainerResourceName, family: CgroupFamily): 'limit' | 'counted' {
  return containerResource(name).by[family] === undefined ? 'counted' : 'limit'
}

export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES)
}
