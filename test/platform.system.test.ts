/** What a guest's machine is made with, on a real cluster: firmware whose variables follow it, a watchdog, its agent. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { vcpuThreads } from '@stead/agent/devices/vcpu-pinning.ts'
import { START_GUEST_AGENT, buildGuestAgentImage } from '@stead/lab/guest-agent-image.ts'
import { GUEST_APPEND, type GuestImage } from '@stead/lab/guest-image.ts'
import { EventWatch } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

/** Writes a variable of the firmware at its first boot and prints it at each later one. */
const KEEP_A_VARIABLE = `
insmod /modules/efivarfs.ko; mount -t efivarfs e /sys/firmware/efi/efivars
v=/sys/firmware/efi/efivars/SteadTest-12345678-1234-1234-1234-123456789abc
if [ -e $v ]; then echo "VARIABLE $(tail -c +5 $v)"; else printf '\\007\\000\\000\\000kept' > $v && echo "VARIABLE written"; fi
`
/** TPM2_ReadClock: how often this TPM was reset in its life. */
const COUNT_TPM_RESETS = `
exec 3<>/dev/tpm0; printf '\\200\\001\\000\\000\\000\\012\\000\\000\\001\\201' >&3
echo "RESETS$(dd bs=64 count=1 <&3 2>/dev/null | od -An -tx1 -j26 -N4)"
`
/** The kernel of the lab's guest has no driver for it: the device is told by hand to strike after half a second. */
const LET_THE_WATCHDOG_STRIKE = `
d=/sys/bus/pci/devices/0000:00:09.0; echo 1 > $d/enable; set -- $(head -n 1 $d/resource)
for timer in 0 4; do
  devmem $(($1 + 12)) 16 0x80; devmem $(($1 + 12)) 16 0x86; devmem $(($1 + timer)) 32 0x200
done
printf '\\002' | dd of=$d/config bs=1 seek=104 conv=notrunc 2>/dev/null
`
/** OVMF, emulated on a busy machine, takes tens of seconds. */
const BOOT_MS = 240_000

suite("a guest's platform", { timeout: 1_500_000 }, () => {
  let lab: LabCluster
  let image: GuestImage

  before(async () => {
    const built = await buildGuestAgentImage(resolve(import.meta.dirname, '..'))
    assert(built.ok, JSON.stringify(built))
    image = built.value
    lab = await LabCluster.up()
  })
  after(() => lab?.down())

  const create = (name: string, script: string, ...options: readonly string[]) =>
    createWith(name, GUEST_APPEND, script, ...options)

  async function createWith(name: string, words: string, script: string, ...options: readonly string[]): Promise<void> {
    await lab.must(
      ...['vm', 'create', name, '--memory', '256MiB', '--disk', '16MiB', '--start', ...options],
      ...['--kernel', image.kernel, '--initrd', image.initrd],
      ...['--append', `${words} stead.run=cmd:${Buffer.from(script).toString('base64')}`],
    )
  }
  const untilPrints = (name: string, text: RegExp) =>
    lab.until(`${name} prints ${text}`, async () => text.test(await lab.console(name)), BOOT_MS)

  test('the variables of the firmware follow the guest to another host, and its clone', async () => {
    await create('uefi', KEEP_A_VARIABLE, '--firmware', 'uefi', '--host', 'h1')
    const { volumes } = await lab.guest('uefi')
    assert.deepEqual(
      volumes.map(({ name, replicas }) => [name, replicas.map(({ host }) => host)]),
      ['disk0', 'firmware'].map((name) => [name, volumes[0]?.replicas.map(({ host }) => host)]),
    )
    await untilPrints('uefi', /VARIABLE written/)
    await lab.must('vm', 'relocate', 'uefi', '--to', 'h3', '--timeout', '90s')
    await untilPrints('uefi', /VARIABLE kept/)
    assert.equal((await lab.guest('uefi')).host, 'h3')
    await lab.must('vm', 'stop', 'uefi', '--force')
    await lab.must('vm', 'clone', 'uefi', 'again', '--start')
    await untilPrints('again', /VARIABLE kept/)
    for (const name of ['uefi', 'again']) await lab.must('vm', 'delete', name)
  })

  test('the state of a TPM follows the guest to another host', async () => {
    await create('sealed', COUNT_TPM_RESETS, '--tpm', '--host', 'h1')
    await untilPrints('sealed', /RESETS 00 00 00 01/)
    await lab.must('vm', 'migrate', 'sealed', '--to', 'h2', '--timeout', '90s')
    await lab.must('vm', 'relocate', 'sealed', '--to', 'h3', '--timeout', '90s')
    await untilPrints('sealed', /RESETS 00 00 00 02/)
    await lab.must('vm', 'delete', 'sealed')
  })

  test('a watchdog that is not fed strikes, and everybody hears of it', async () => {
    const watch = await EventWatch.begin(lab)
    await create('hangs', LET_THE_WATCHDOG_STRIKE, '--watchdog', 'poweroff')
    await watch.until('guest.watchdog', { action: 'poweroff' })
    await watch.until('guest.exited')
    await lab.must('vm', 'delete', 'hangs')
  })

  test('processors of its own are bound, and its memory is divided into nodes', async () => {
    // What is shown is the host's doing. The kernel hung at boot twice, and its second, emulated processor is suspected.
    await createWith(
      'numa',
      `${GUEST_APPEND} maxcpus=1`,
      'echo NODES $(ls -d /sys/devices/system/node/node?)',
      '--cpus',
      '2',
      '--numa-nodes',
      '2',
      '--dedicated-cpus',
    )
    const [qemu] = lab.qemuProcesses('numa')
    assert(qemu)
    const bound = [...vcpuThreads(qemu.pid).values()].map(
      (thread) =>
        /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync(`/proc/${qemu.pid}/task/${thread}/status`, 'utf8'))?.[1],
    )
    assert.equal(new Set(bound).size, 2, `not bound one to one: ${bound.join(', ')}`)
    await untilPrints('numa', /NODES \S+node0 \S+node1/)
    await lab.must('vm', 'delete', 'numa')
  })

  test('the agent inside a guest is asked from any host, and runs programs only where that is allowed', async () => {
    await create('talks', START_GUEST_AGENT)
    await lab.until(
      'its agent answers',
      async () => (await lab.run('vm', 'agent', 'ping', 'talks')).code === 0,
      BOOT_MS,
    )
    const denied = await lab.run('vm', 'agent', 'exec', 'talks', '--', 'echo', 'hello')
    assert.equal(denied.code, 5)
    assert.match(denied.stderr, /--agent-exec/)
    await lab.must('vm', 'set', 'talks', '--agent-exec')
    assert.equal(await lab.must('vm', 'agent', 'exec', 'talks', '--', 'echo', 'hello'), 'hello\n')
    assert.equal((await lab.run('vm', 'agent', 'exec', 'talks', '--', 'sh', '-c', 'exit 7')).code, 7)
    await lab.must('vm', 'stop', 'talks')
    assert.equal((await lab.run('vm', 'agent', 'ping', 'talks')).code, 5)
  })
})
