/** `@stead/client` as a customer has it: packed, installed into an empty folder, run by Node without TypeScript. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { startSimulatedCluster, type SimulatedCluster } from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { buildClientPackage } from './client-package.ts'
import { GuestHost } from './guest-host-fixture.ts'
import { ROOT } from './run-program.ts'

const TOKEN = 'client'

type Answering = (answer: IncomingMessage, response: ServerResponse) => void

suite('the client as a package', { timeout: 180_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-client-'))
  const installed = join(folder, 'customer')
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  let cluster: SimulatedCluster

  before(async () => {
    const tarball = await buildClientPackage(join(folder, 'package'))
    mkdirSync(installed)
    writeFileSync(join(installed, 'package.json'), JSON.stringify({ name: 'customer', private: true, type: 'module' }))
    await run('pnpm', ['--dir', installed, 'add', '--offline', '--ignore-workspace', tarball])
    cluster = await startSimulatedCluster({ after: (end) => void ends.push(end) }, { token: TOKEN })
  })
  after(async () => {
    for (const end of ends.toReversed()) await end()
  })

  /** A plain module of the customer's; what it prints. */
  async function plain(code: string, hosts = [cluster.url], flags: readonly string[] = []): Promise<string> {
    const file = join(installed, 'program.mjs')
    writeFileSync(file, code)
    const env = { ...process.env, STEAD_HOSTS: hosts.join(','), STEAD_TOKEN: TOKEN }
    return run(process.execPath, [...flags, '--no-experimental-strip-types', file], env)
  }

  /** The same with a client, whose code says what it found. */
  async function found<Value>(code: string, hosts?: string[], flags?: readonly string[]): Promise<Value> {
    const printed = await plain(
      `import { Stead, SteadError } from '@stead/client'
       const stead = new Stead({ hosts: process.env.STEAD_HOSTS.split(','), token: process.env.STEAD_TOKEN })
       const found = await (async () => { ${code} })()
       console.log(JSON.stringify(found))`,
      hosts,
      flags,
    )
    return JSON.parse(printed) as Value
  }

  /** A host in front of the real one: does something before it passes a request on, and what it likes with the answer. */
  async function otherHost(answering: Answering, first: (asked: IncomingMessage) => Promise<unknown> = async () => {}) {
    const server = createServer((asked, response) => {
      const { method = '', url = '', headers } = asked
      void first(asked).then(() => {
        const passed = request(new URL(url, cluster.url), { method, headers }, (answer) => answering(answer, response))
        passed.on('error', () => response.destroy())
        asked.pipe(passed)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => (server.closeAllConnections(), server.close()))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  test('it needs nothing else, and holds no schemas', () => {
    const place = join(installed, 'node_modules', '@stead', 'client')
    const { dependencies } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as { dependencies?: object }
    assert.equal(dependencies, undefined)
    for (const file of readdirSync(place).filter((name) => /\.(js|d\.ts)$/.test(name)))
      assert.doesNotMatch(readFileSync(join(place, file), 'utf8'), /zod|from ["']@stead/, file)
    assert.doesNotMatch(readFileSync(join(place, 'stead.browser.js'), 'utf8'), /["']node:|require\(/)
  })

  test('the examples of its page compile, and run against a cluster', async () => {
    const page = readFileSync(join(ROOT, 'packages', 'client', 'README.md'), 'utf8')
    const examples = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = '']) => code)
    assert.ok(examples.length >= 6)
    const code = examples.join('\n')
    await compiles(code)
    const happening = setInterval(() => {
      void cluster.backend.must('project.create', { body: { name: `p${Date.now()}` } })
      void cluster.backend.must('policy.set', { body: { cpuOvercommit: 1 + Math.random() } })
    }, 300)
    const printed = await plain(code).finally(() => clearInterval(happening))
    assert.match(printed, /^I am root@h1\n/)
    assert.match(printed, /^vm\.create$/m)
    assert.match(printed, /^not_found There is no guest nobody/m)
    assert.match((await cluster.backend.must('project.show', { params: { project: 'default' } })).notes, /seen/)
  })

  test('what an endpoint does not take, and what it does not answer, does not compile', async () => {
    // Each line is wrong; the compiler complains where one is not.
    const wrong = [
      `await stead.call('guest.shows')`,
      `await stead.call('guest.show')`,
      `await stead.call('guest.show', { params: { guest: 1 } })`,
      `await stead.call('guest.stop', { params: { guest: 'web' }, body: { forse: true } })`,
      `console.log((await stead.call('guest.show', { params: { guest: 'web' } })).nam)`,
      `for await (const each of stead.items('guest.show', { params: { guest: 'web' } })) console.log(each)`,
      `await stead.change('project.set', { params: { project: 'p' } }, ({ quota }) => ({ notes: quota }))`,
    ]
    const start = `import { Stead } from '@stead/client'\nconst stead = new Stead({ hosts: [] })\n`
    await compiles(start + wrong.map((line) => `// @ts-expect-error\n${line}\n`).join(''))
    await assert.rejects(compiles(`${start}${wrong[0]}`), /error TS/)
  })

  test('every item of a list comes once, page by page', async () => {
    const names = await found<string[]>(
      `const names = []
       for await (const host of stead.items('host.list', { query: { limit: 1 } })) names.push(host.name)
       return names`,
    )
    assert.deepEqual(names, ['h1', 'h2', 'h3', 'witness'])
  })

  test('a change that somebody else was faster with is made on what is so then', async () => {
    const params = { project: 'both' }
    await cluster.backend.must('project.create', { body: { name: 'both' } })
    let changes = 0
    const slow = await otherHost(
      (answer, response) => answer.pipe(response.writeHead(answer.statusCode ?? 0, answer.headers)),
      async ({ method }) => {
        if (method !== 'PATCH' || ++changes > 1) return
        await cluster.backend.must('project.set', { params, body: { notes: 'theirs' } })
      },
    )
    const made = await found<{ notes: string; looks: number }>(
      `let looks = 0
       const input = { params: { project: 'both' } }
       const { notes } = await stead.change('project.set', input, (seen) => {
         looks += 1
         return { notes: seen.notes + ' and mine' }
       })
       return { notes, looks }`,
      [slow],
    )
    assert.deepEqual(made, { notes: 'theirs and mine', looks: 2 })
  })

  test('a host that dies after it has made a change, before it says so: it is made once', async () => {
    const dying = await otherHost((answer, response) => {
      answer.resume()
      answer.on('end', () => response.destroy())
    })
    const made = await found<string>(
      `const { guest } = await stead.call('guest.create', {
         body: { name: 'once', memoryBytes: 2 ** 27, disks: [{ sizeBytes: 2 ** 24 }], boot: { kind: 'disk' } } })
       return guest?.name ?? 'made'`,
      [dying, cluster.url],
    )
    assert.ok(made)
    const { items } = await cluster.backend.must('guest.list')
    assert.equal(items.filter(({ name }) => name === 'once').length, 1)
    const operations = [...cluster.backend.mirror.state.operations.values()]
    const { id } = items.find(({ name }) => name === 'once')!
    assert.equal(operations.filter(({ value }) => value.kind === 'vm.create' && value.subject.includes(id)).length, 1)
  })

  test('a host that dies in the middle of an answer costs a second request', async () => {
    const dying = await otherHost((answer, response) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers)
      answer.once('data', (part: Buffer) => {
        response.write(part.subarray(0, part.length / 2))
        setTimeout(() => response.destroy(), 20)
      })
    })
    const count = await found<number>(`return (await stead.call('host.list')).items.length`, [dying, cluster.url])
    assert.equal(count, 4)
  })

  test('what is followed goes on where it was, at the next host', async () => {
    const dying = await otherHost((answer, response) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers)
      answer.on('data', (part: Buffer) => {
        response.write(part)
        if (part.includes('data:')) setTimeout(() => response.destroy(), 20)
      })
    })
    let number = 0
    const happening = setInterval(() => {
      number += 1
      void cluster.backend.must('policy.set', { body: { balancing: { movesPerHourMax: 100 + number } } })
    }, 100)
    const told = await found<string[]>(
      `const told = []
       const enough = new AbortController()
       for await (const event of stead.follow('event.list', {}, enough.signal)) {
         const moves = /movesPerHourMax \\d+ -> (\\d+)/.exec(event.message)
         if (moves) told.push(moves[1])
         if (told.length >= 8) enough.abort()
       }
       return told`,
      [dying, cluster.url],
    ).finally(() => clearInterval(happening))
    const first = Number(told[0])
    assert.deepEqual(
      told.map(Number),
      told.map((_, index) => first + index),
    )
  })

  for (const { where, flags } of [
    { where: 'in Node', flags: [] },
    // Which has the same WebSocket as browsers, and takes of the package what they take.
    { where: 'in a browser', flags: ['--conditions=browser'] },
  ]) {
    test(`${where} a console goes on when its host dies, and what is typed comes back`, async () => {
      const guests = new GuestHost()
      const [first, second] = [await guests.serve(ends), await guests.serve(ends)]
      const told = await found<string[]>(
        `const told = []
         let text = ''
         const console = stead.console('web', 'serial')
         for await (const each of console) {
           if (each.is === 'bytes') text += new TextDecoder().decode(each.bytes)
           else told.push(each.is === 'connected' ? each.is + ' ' + each.host : each.is)
           if (each.is === 'connected') console.send('hello ' + told.length)
           if (text === 'hello 1') console.send('die')
           if (text.endsWith('hello 3')) break
         }
         return told`,
        [first, second],
        flags,
      )
      assert.deepEqual(told, ['connected h1', 'waiting', 'connected h2'])
    })

    test(`${where} a shell ends with its exit code, and one that is lost throws`, async () => {
      const guests = new GuestHost()
      const host = await guests.serve(ends)
      const told = await found<unknown[]>(
        `const told = []
         for (const typed of ['exit', 'die']) {
           const shell = stead.shell('ct1', { columns: 100, rows: 30 })
           try {
             for await (const each of shell) {
               if (each.is === 'connected') shell.send(typed)
               if (each.is === 'ended') told.push(each.exitCode)
             }
           } catch (error) {
             told.push(error instanceof SteadError && error.code)
           }
         }
         return told`,
        [host],
        flags,
      )
      assert.deepEqual(told, [7, 'host_unreachable'])
      assert.deepEqual(guests.sizes, ['100x30', '100x30'])
    })
  }

  test('a console of a guest that there is not is refused, and one that is left ends', async () => {
    const host = await new GuestHost().serve(ends)
    const told = await found<unknown[]>(
      `const told = []
       try { for await (const each of stead.console('nobody', 'vnc')) told.push(each) } catch ({ code }) { told.push(code) }
       const console = stead.console('web', 'vnc')
       console.send('nobody hears it')
       for await (const each of console) { told.push(each.is); console.leave() }
       return told`,
      [host],
    )
    assert.deepEqual(told, ['not_found', 'connected'])
  })

  test('a refusal says why, with its code and what can be done; without a cluster there is one as well', async () => {
    const refused = await found<Record<string, unknown>>(
      `return await stead.call('guest.show', { params: { guest: 'no' } })
         .catch((error) => ({ code: error.code, hint: error.hint, is: error instanceof SteadError }))`,
    )
    assert.deepEqual([refused['code'], refused['is']], ['not_found', true])
    assert.equal(typeof refused['hint'], 'string')
    const nobody = await found<string>(`return await stead.call('host.list').catch(({ code }) => code)`, [
      'http://127.0.0.1:9',
    ])
    assert.equal(nobody, 'host_unreachable')
  })

  /** As a customer's compiler sees it, strictly. */
  async function compiles(code: string): Promise<void> {
    writeFileSync(join(installed, 'program.ts'), code)
    const compilerOptions = {
      ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: false },
      ...{ module: 'nodenext', target: 'es2022', lib: ['es2023'] },
      ...{ types: ['node'], typeRoots: [join(ROOT, 'node_modules', '@types')] },
    }
    writeFileSync(join(installed, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
    await run('tsc', ['--project', join(installed, 'tsconfig.json')])
  }
})

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      { env, timeout: 60_000, killSignal: 'SIGKILL', maxBuffer: 16 << 20 },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`, { cause: error }))
        else resolve(stdout)
      },
    )
  })
}
