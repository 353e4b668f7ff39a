/** What can be said of a host before it is set up, without another one: nothing is changed by it. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { lookup } from 'node:dns/promises'
import { createServer } from 'node:net'
import { totalmem } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import type { SetupAnswers, SetupCheck, SetupPort } from '@stead/api/endpoints/set-up.ts'
import { levelOf, type ProcessorLevel } from '@stead/core/model/processor.ts'
import type { HostRole, NetworkRole } from '@stead/core/model/host.ts'
import { runProgram } from '../process/run-program.ts'
import { bondChecks, bondPlans, portsWithBonds } from './bond-steps.ts'
import { checkOf, GIB, gib } from './check.ts'
import { portsOfHost } from './host-facts.ts'

export type Addresses = SetupAnswers['addresses']

const PROGRAM_MS = 5_000
/** The store's log grows by what changes until it is compacted; history and the audit grow slowly. */
const STATE_BYTES_FAIL = 1 * GIB
const STATE_BYTES_WARN = 10 * GIB
const MEMORY_BYTES_WARN: Readonly<Record<HostRole, number>> = { compute: 4 * GIB, witness: 1 * GIB }
const SPEED_MBITS_MIN = 1_000

export interface OwnQuestion {
  readonly role: HostRole
  readonly host: string
  readonly addresses: Addresses
  readonly tcpPorts: readonly number[]
  readonly pools: SetupAnswers['pools']
  readonly bonds: SetupAnswers['bonds']
  readonly stateDir: string
}

export async function ownChecks(own: OwnQuestion): Promise<readonly SetupCheck[]> {
  const bonds = await bondPlans(own.bonds)
  return [
    notSetUp(own.stateDir),
    ...bondChecks(bonds),
    ...addressChecks(own.addresses, portsWithBonds(await portsOfHost(), bonds)),
    ...(await Promise.all(own.tcpPorts.map((port) => portCheck(port)))),
    await nameCheck(own),
    await timeServiceCheck(),
    ...programChecks(own.role),
    ...(own.role === 'compute' ? [processorCheck(), tunCheck(), await filterCheck()] : []),
    memoryCheck(own.role),
    stateRoomCheck(own.stateDir),
    ...own.pools.map(roomCheck),
  ]
}

function notSetUp(stateDir: string): SetupCheck {
  const check = checkOf('empty-host', 'empty host')
  return existsSync(join(stateDir, 'agent.json'))
    ? check.refused(
        `this host is set up already: there is ${join(stateDir, 'agent.json')}`,
        'Remove it from its cluster first (stead host remove), then empty its state folder',
      )
    : check.ok('this host is of no cluster')
}

function addressChecks(addresses: Addresses, ports: readonly SetupPort[]): SetupCheck[] {
  const given = Object.entries(addresses).filter(([, address]) => address !== undefined) as [NetworkRole, string][]
  return given.flatMap(([role, address]) => {
    const check = checkOf(`${role}-address`, `${role} address`)
    const port = ports.find((each) => each.addresses.some((own) => own.startsWith(`${address}/`)))
    if (!port)
      return check.refused(
        `no port or bond of this host has the address ${address}`,
        "Set up the port with the system's own means first (it must have the address after each boot), or make a bond that has it: --bond",
      )
    const text = `${address} is on ${port.name}${port.members.length > 0 ? ` (${port.members.join(', ')})` : ''}`
    const link = checkOf(`${role}-link`, `${role} link`)
    const { up, speedMbits } = port
    const speed = speedMbits === null ? 'of unknown speed' : `${speedMbits} Mbit/s`
    const wants = role === 'lan' ? 0 : SPEED_MBITS_MIN
    return [
      check.ok(text),
      !up
        ? link.failed(`${port.name} has no link`, 'Plug in the cable, and look at the switch')
        : speedMbits !== null && speedMbits < wants
          ? link.failed(`${port.name} has ${speed}`, 'Disks need a port of 1 Gbit/s or more: look at cable and switch')
          : link.ok(`${port.name} is up, ${speed}`),
    ]
  })
}

function portCheck(port: number): Promise<SetupCheck> {
  const check = checkOf(`port-${port}`, `port ${port}`)
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) =>
      resolve(check.refused(`cannot be used: ${error.message}`, 'Stop what listens there (see: ss -ltnp)')),
    )
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(check.ok('is free'))))
  })
}

/** Debian gives a machine's own name an address of loopback, at which no other host finds it. */
async function nameCheck({ host, addresses }: OwnQuestion): Promise<SetupCheck> {
  const check = checkOf('name-resolution', 'name resolution')
  const hint =
    'Put all hosts into /etc/hosts of each, or into the DNS: hosts call each other by address, people by name'
  try {
    const found = (await lookup(host, { all: true, family: 4 })).map(({ address }) => address)
    const own = Object.values(addresses)
    const text = `${host} is ${found.join(', ')}`
    return found.some((address) => own.includes(address))
      ? check.ok(text)
      : check.warning(`${text}, which is none of the addresses that it is to have`, hint)
  } catch (error) {
    return check.warning(`${host} is not found by name (${(error as Error).message})`, hint)
  }
}

/** By `comm`, which the kernel cuts at 15 characters. */
const TIME_SERVICES = ['chronyd', 'systemd-timesyn', 'ntpd', 'ntpsec', 'openntpd']

async function timeServiceCheck(): Promise<SetupCheck> {
  const check = checkOf('time-service', 'time service')
  const hint = 'Install chrony on every host: logs, schedules and one-time codes need the same time everywhere'
  const running = TIME_SERVICES.filter((name) => runningPrograms().has(name))
  if (running.length === 0) return check.warning('nothing keeps the clock of this host right', hint)
  const told = await runProgram('timedatectl', ['show', '--property=NTPSynchronized', '--value'], PROGRAM_MS)
  const isOff = told.ok && told.value.output.trim() === 'no'
  return isOff
    ? check.warning(`${running[0]} runs and has not set the clock yet`, 'Does it reach a server? See: chronyc sources')
    : check.ok(`${running[0]} runs${told.ok ? ', and the clock is set' : ''}`)
}

function runningPrograms(): ReadonlySet<string> {
  const names = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
      } catch {
        // It has ended meanwhile.
        return ''
      }
    })
  return new Set(names)
}

const PROGRAMS: Readonly<Record<'all' | HostRole | 'containers', readonly string[]>> = {
  all: ['etcd', 'etcdctl', 'ip', 'ss', 'ping'],
  compute: ['qemu-system-x86_64', 'qemu-storage-daemon', 'qemu-img', 'nft', 'tc', 'bridge', 'nsenter', 'prlimit'],
  witness: [],
  containers: ['lxc-start', 'losetup', 'mkfs.ext4', 'resize2fs', 'fsfreeze'],
}
/** Where Debian has what only root uses; not on everybody's PATH. */
const FURTHER_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']

function programChecks(role: HostRole): SetupCheck[] {
  const missingOf = (names: readonly string[]) => names.filter((name) => !isInstalled(name))
  const needed = [...PROGRAMS.all, ...PROGRAMS[role]]
  const programs = checkOf('programs', 'programs')
  const missing = missingOf(needed)
  const checks = [
    missing.length === 0
      ? programs.ok(`all ${needed.length} are there`)
      : programs.refused(`missing: ${missing.join(', ')}`, 'Install what Stead needs: ./dev setup lists the packages'),
  ]
  if (role === 'witness') return checks
  const containers = checkOf('container-programs', 'programs for containers')
  const wanting = missingOf(PROGRAMS.containers)
  checks.push(
    wanting.length === 0
      ? containers.ok('all are there')
      : containers.warning(`missing: ${wanting.join(', ')}`, 'No container can run here before they are installed'),
  )
  return checks
}

function isInstalled(name: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...FURTHER_FOLDERS]
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export function ownLevel(): ProcessorLevel {
  const flags = /^flags\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? ''
  return levelOf(new Set(flags.split(' ')))
}

function processorCheck(): SetupCheck {
  const check = checkOf('processor', 'processor')
  const text = `x86-64-v${ownLevel()}`
  return existsSync('/dev/kvm')
    ? check.ok(`${text}, with /dev/kvm`)
    : check.warning(
        `${text}, without /dev/kvm: guests would be emulated, and slow`,
        "Switch on VT-x or AMD-V in the firmware's set-up, and load kvm_intel or kvm_amd",
      )
}

function tunCheck(): SetupCheck {
  const check = checkOf('kernel-tun', 'network cards for guests')
  return existsSync('/dev/net/tun')
    ? check.ok('/dev/net/tun is there')
    : check.warning('there is no /dev/net/tun yet', 'modprobe tun; without it no VM gets a network card')
}

const FILTER = 'table bridge stead_try {\n chain look { type filter hook forward priority 0; }\n}\n'

/** What holds guests to their own addresses. `--check` has the kernel judge it, and makes nothing. */
async function filterCheck(): Promise<SetupCheck> {
  const check = checkOf('kernel-filter', 'packet filter for guests')
  const tried = await runProgram('nft', ['--check', FILTER], PROGRAM_MS)
  return tried.ok
    ? check.ok('the kernel filters what crosses bridges')
    : check.failed(tried.error.message, 'The kernel needs nf_tables with the bridge family (nf_tables_bridge)')
}

function memoryCheck(role: HostRole): SetupCheck {
  const check = checkOf('memory', 'memory')
  const wanted = MEMORY_BYTES_WARN[role]
  return totalmem() < wanted
    ? check.warning(`${gib(totalmem())}`, `A ${role === 'witness' ? 'witness' : 'host'} wants ${gib(wanted)} or more`)
    : check.ok(gib(totalmem()))
}

function freeBytesAt(path: string): number {
  let folder = path
  while (!existsSync(folder)) folder = dirname(folder)
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

function stateRoomCheck(stateDir: string): SetupCheck {
  const check = checkOf('state-room', `room in ${stateDir}`)
  const free = freeBytesAt(stateDir)
  const hint = `The cluster's memory and its history lie there: ${gib(STATE_BYTES_WARN)} and more are wanted`
  if (free < STATE_BYTES_FAIL) return check.failed(`${gib(free)} free`, hint)
  return free < STATE_BYTES_WARN ? check.warning(`${gib(free)} free`, hint) : check.ok(`${gib(free)} free`)
}

function roomCheck({ name, path, capacityBytes }: SetupAnswers['pools'][number]): SetupCheck {
  const check = checkOf(`pool-room-${name}`, `room in ${path}`)
  const free = freeBytesAt(path)
  const text = `${gib(free)} free, ${gib(capacityBytes)} promised`
  return free < capacityBytes
    ? check.warning(text, 'Disks may fill it before the pool seems full: mount a file system there, or promise less')
    : check.ok(text)
}
