/** Imports as operations: seen, called off, and interrupted by whatever can happen to the host that does them. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { OperationView } from '@stead/api/views.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { LabCluster, STEAD } from './support/lab-cluster.ts'

const MIB = 2 ** 20
const SIZE = 192 * MIB
const CAUGHT_MS_MAX = 60_000

suite('imports', { timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-imports-'))
  const source = join(folder, 'source.raw')
  let lab: LabCluster

  before(async () => {
    writeFileSync(source, randomBytes(SIZE))
    lab = await LabCluster.up({ hosts: 2, witness: true })
  })
  after(async () => {
    await lab?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  const worked = (host = 'h1') => readdirSync(join(lab.hostFolder(host), 'imports'))
  const blobs = (host: string) => readdirSync(join(lab.hostFolder(host), 'blobs')).toSorted()
  const show = (id: string) => lab.json<OperationView>('operation', 'show', id)
  const names = async () => (await lab.json<{ name: string }[]>('image', 'list')).map(({ name }) => name)
  const commandOf = (pid: number) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
    } catch {
      return []
    }
  }
  const isAlive = (pid: number) =>
    existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  /** Stands still in the middle of its work from now on. */
  const caught = async (words: readonly string[]): Promise<number> => {
    for (const until = Date.now() + CAUGHT_MS_MAX; Date.now() < until; await sleep(2)) {
      for (const pid of lab.processes()) {
        const command = commandOf(pid)
        if (command[0] !== words[0] || !words.every((word) => command.includes(word))) continue
        process.kill(pid, 'SIGSTOP')
        return pid
      }
    }
    return assert.fail(`no process was seen: ${words.join(' ')}`)
  }
  /** Looked for from the beginning: on a busy machine the work may be over before the command is. */
  const begun = async (words: readonly string[], ...command: readonly string[]) => {
    const [{ id }, pid] = await Promise.all([lab.json<OperationView>(...command, '--no-wait'), caught(words)])
    return { id, pid }
  }
  /** An import whose conversion stands still. */
  const converting = (name: string) => begun(['qemu-img', 'convert'], 'image', 'import', name, source)
  const ended = async (id: string) => {
    let seen: OperationView | undefined
    await lab.until(`the operation ${id} has ended`, async () => {
      seen = await show(id)
      return seen.state === 'succeeded' || seen.state === 'failed'
    })
    return seen!
  }

  test('an upload that broke off goes on where it was when the command is repeated', async () => {
    const folders = ['h1', 'h2', 'witness'].map((host) => join(lab.hostFolder(host), 'blobs'))
    /** A file that gets another name between being found and being looked at is looked for again. */
    const arrived = (): number => {
      const sizes = folders.flatMap((path) =>
        readdirSync(path)
          .filter((file) => file.startsWith('sha256-'))
          .map((file) => statSync(join(path, file), { throwIfNoEntry: false })?.size),
      )
      return sizes.includes(undefined) ? arrived() : Math.max(0, ...sizes.map(Number))
    }
    const sending = spawn(STEAD, ['image', 'import', 'first', source], { env: lab.env, stdio: 'ignore' })
    await lab.until('a part has arrived', async () => arrived() > 16 * MIB)
    sending.kill('SIGKILL')
    await lab.until('nothing more arrives', async () => {
      const before = arrived()
      await sleep(300)
      return arrived() === before
    })
    const part = arrived()
    // Whoever is too quick for this test has sent all of it, which the next command must not repeat either.
    let least = part
    let over = false
    const again = lab.must('image', 'import', 'first', source).finally(() => (over = true))
    while (!over) {
      least = Math.min(least, arrived())
      await sleep(5)
    }
    assert.match(await again, /^image first imported, 192 MiB; it is on h1, h2\n$/)
    assert.ok(part > 16 * MIB && least >= part, `${part} bytes had arrived, then there were ${least}`)
  })

  test('it tells its step and how much is done, and in the end the image is on both hosts', async () => {
    const { id, pid } = await converting('seen')
    await lab.until('the step is told', async () => (await show(id)).message.startsWith('converting'))
    const { state, progress, message, subjectName } = await show(id)
    assert.deepEqual([state, subjectName], ['running', 'seen'])
    assert.ok(progress >= 0.2 && progress < 0.8, `${progress}`)
    assert.match(message, /^converting it, .+ of 192 MiB \(h1\)$/)
    assert.match(await lab.must('operation', 'list'), /image\.import +seen +running/)
    process.kill(pid, 'SIGCONT')
    assert.deepEqual([(await ended(id)).state, worked()], ['succeeded', []])
    const image = (await lab.json<{ name: string; blob: string }[]>('image', 'list')).find(
      ({ name }) => name === 'seen',
    )
    const file = image?.blob.replace(':', '-') ?? ''
    for (const host of ['h1', 'h2'])
      execFileSync('qemu-img', [
        'compare',
        '-f',
        'raw',
        '-F',
        'qcow2',
        source,
        join(lab.hostFolder(host), 'blobs', file),
      ])
    await lab.must('image', 'delete', 'seen')
  })

  test('one that is called off ends at once, with its program, and leaves nothing', async () => {
    const before = blobs('h1')
    const { id, pid } = await converting('unwanted')
    await lab.must('image', 'cancel', 'unwanted')
    await lab.until('its program has ended', async () => !isAlive(pid))
    await lab.until('its folder is gone', async () => worked().length === 0)
    assert.deepEqual([(await show(id)).state, (await show(id)).message], ['failed', 'the import was called off'])
    assert.deepEqual([blobs('h1'), (await names()).includes('unwanted')], [before, false])
  })

  test('the agent is killed in the middle: its program ends with it, and the next agent begins again', async () => {
    const { id, pid } = await converting('again')
    await lab.must('lab', 'kill', 'h1', 'agent')
    await lab.until('the program has ended', async () => !isAlive(pid))
    assert.equal((await ended(id)).state, 'succeeded')
    assert.deepEqual([worked(), (await names()).includes('again')], [[], true])
    await lab.must('image', 'delete', 'again')
  })

  test('the agent is killed while an archive is unpacked: nothing of that goes on, and the template comes about', async () => {
    const archive = join(folder, 'root.tar')
    const root = mkdtempSync(join(folder, 'root-'))
    execFileSync('sh', [
      '-c',
      `mkdir -p ${root}/sbin && printf '#!/bin/sh\\n' > ${root}/sbin/init && chmod 755 ${root}/sbin/init`,
    ])
    writeFileSync(join(root, 'data'), randomBytes(64 * MIB))
    execFileSync('tar', ['-C', root, '-cf', archive, '.'])
    const { id, pid } = await begun(['tar', '-x'], 'template', 'import', archive, 'big', '--version', '1')
    await lab.until('the step is told', async () => (await show(id)).message.startsWith('unpacking'))
    await lab.must('lab', 'kill', 'h1', 'agent')
    await lab.until('the program has ended', async () => !isAlive(pid))
    assert.equal((await ended(id)).state, 'succeeded')
    assert.match(await lab.must('template', 'show', 'big'), /big@1/)
    assert.deepEqual(worked(), [])
  })

  test('a full disk in the middle is undone, and the same import succeeds once there is room', async () => {
    const work = join(lab.hostFolder('h1'), 'imports')
    const mount = (...options: string[]) => lab.must('lab', 'exec', 'h1', '--', 'mount', ...options, 'none', work)
    // Room for the image, and for what the agent leaves free for others.
    await mount('-t', 'tmpfs', '-o', 'size=512m,mode=711')
    try {
      const { id, pid } = await converting('large')
      await mount('-o', 'remount,size=96m')
      process.kill(pid, 'SIGCONT')
      const { state, failure } = await ended(id)
      assert.deepEqual([state, failure?.code], ['failed', 'no_capacity'])
      assert.match(failure?.hint ?? '', /^Free space/)
      assert.equal(await lab.must('lab', 'exec', 'h1', '--', 'ls', work), '')
    } finally {
      await lab.must('lab', 'exec', 'h1', '--', 'umount', '--lazy', work)
    }
    await lab.must('image', 'import', 'large', source)
    await lab.must('image', 'delete', 'large')
  })

  test('an upload that has no room is refused before it is sent, and nothing of it stays', async () => {
    // On each host: another one is asked when the first is slow to answer.
    const full = ['h1', 'h2'].map((host) => ({ host, held: join(lab.hostFolder(host), 'blobs') }))
    for (const { host, held } of full)
      await lab.must('lab', 'exec', host, '--', 'mount', '-t', 'tmpfs', '-o', 'size=300m', 'none', held)
    try {
      const refused = await lab.run('image', 'import', 'upload', source)
      assert.equal(refused.code, FAILURES.no_capacity.exit, refused.stderr)
      assert.match(refused.stderr, /no room on this host for the file\nhint: Free space/)
      for (const { host, held } of full) assert.equal(await lab.must('lab', 'exec', host, '--', 'ls', held), '')
    } finally {
      for (const { host, held } of full) await lab.must('lab', 'exec', host, '--', 'umount', '--lazy', held)
    }
  })

  test('an OVA with two disks becomes a guest with both, and comes out again as two files', async () => {
    const parts = [1, 2].map((number) => {
      const [raw, name] = [join(folder, `part${number}.raw`), `part${number}.vmdk`]
      writeFileSync(raw, randomBytes(number * 4 * MIB))
      execFileSync('qemu-img', [
        'convert',
        '-f',
        'raw',
        '-O',
        'vmdk',
        '-o',
        'subformat=streamOptimized',
        raw,
        join(folder, name),
      ])
      return { raw, name }
    })
    writeFileSync(join(folder, 'shop.ovf'), twoDisks(parts.map(({ name }) => name)))
    execFileSync('tar', [
      '--format=ustar',
      '-C',
      folder,
      '-cf',
      join(folder, 'shop.ova'),
      'shop.ovf',
      ...parts.map(({ name }) => name),
    ])
    await lab.must('image', 'import', 'shop', join(folder, 'shop.ova'))
    await lab.must('vm', 'create', 'shop', '--image', 'shop')
    assert.deepEqual((await lab.guest('shop')).memoryBytes, 96 * MIB)
    const sizes = (await lab.volumes()).filter(({ guest }) => guest === 'shop').map(({ sizeBytes }) => sizeBytes)
    assert.deepEqual(
      sizes.toSorted((a, b) => a - b),
      [4 * MIB, 8 * MIB],
    )
    const target = join(folder, 'out.qcow2')
    assert.match(await lab.must('image', 'export', 'shop', target), /out-1\.qcow2 written.*\n.*out-2\.qcow2 written/)
    await lab.must('image', 'export', 'shop', target, '--disk', '2')
    const pairs = [
      [parts[0]!.raw, join(folder, 'out-1.qcow2')],
      [parts[1]!.raw, join(folder, 'out-2.qcow2')],
      [parts[1]!.raw, target],
    ]
    for (const [raw = '', file = ''] of pairs)
      execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', raw, file])
    // One that exists is not written over, and its fellow does not stay alone.
    rmSync(join(folder, 'out-1.qcow2'))
    const again = await lab.run('image', 'export', 'shop', target)
    assert.equal(again.code, FAILURES.bad_request.exit)
    assert.deepEqual([existsSync(join(folder, 'out-1.qcow2')), existsSync(join(folder, 'out-2.qcow2'))], [false, true])
  })

  test('two hosts that are asked for the same name at once make one image', async () => {
    const blob = `sha256:${execFileSync('sha256sum', [source]).toString().slice(0, 64)}`
    const body = { name: 'once', blob, format: 'raw' } as const
    const answers = await Promise.all(
      ['h1', 'h2'].map((host) => lab.clientOf([host]).call(ENDPOINTS['image.import'], { body })),
    )
    const [taken, ...more] = answers.flatMap((answer) => (answer.ok ? [answer.value] : []))
    const [refused] = answers.flatMap((answer) => (answer.ok ? [] : [answer.error]))
    assert.deepEqual([more.length, refused?.code], [0, 'name_taken'])
    assert.equal((await ended(taken!.operation.id)).state, 'succeeded')
    assert.equal((await names()).filter((name) => name === 'once').length, 1)
    assert.equal((await lab.run('image', 'import', 'once', source)).code, FAILURES.name_taken.exit)
  })

  test('its host dies: it has failed with that reason, and nothing of it is there when the host is back', async () => {
    const before = blobs('h1')
    const { id } = await converting('lost')
    await lab.must('lab', 'power-off', 'h1')
    const { state, failure } = await ended(id)
    assert.deepEqual([state, failure?.code], ['failed', 'host_unreachable'])
    assert.match(failure?.message ?? '', /^h1, which was importing it, is lost$/)
    await lab.must('lab', 'power-on', 'h1')
    await lab.until('h1 is back', async () =>
      (await lab.hosts()).some(({ name, state: now }) => name === 'h1' && now === 'online'),
    )
    // The agent that begins empties the folder by making it anew.
    await lab.until('nothing is worked on', async () => worked().length === 0)
    assert.deepEqual([blobs('h1'), (await names()).includes('lost')], [before, false])
    await lab.must('image', 'import', 'lost', source)
  })
})

/** The descriptor of a machine with 96 MiB. */
function twoDisks(files: readonly string[]): string {
  const each = (text: (file: string, number: number) => string) =>
    files.map((file, index) => text(file, index + 1)).join('')
  return `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="r">
 <References>${each((file, number) => `<File ovf:id="f${number}" ovf:href="${file}"/>`)}</References>
 <DiskSection>${each((_file, number) => `<Disk ovf:diskId="d${number}" ovf:fileRef="f${number}"/>`)}</DiskSection>
 <VirtualSystem ovf:id="m"><VirtualHardwareSection>
  <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
  <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>96</rasd:VirtualQuantity></Item>
  ${each((_file, number) => `<Item><rasd:HostResource>ovf:/disk/d${number}</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>`)}
 </VirtualHardwareSection></VirtualSystem>
</Envelope>`
}
