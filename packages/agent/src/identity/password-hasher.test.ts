import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PasswordHasher } from './password-hasher.ts'

const must = <T>(result: { ok: true; value: T } | { ok: false; error: { message: string } }): T => {
  assert.ok(result.ok, result.ok ? '' : result.error.message)
  return result.value
}

test('a password matches its own hash, of which no two are alike', async () => {
  const hasher = new PasswordHasher()
  const [one, two] = [must(await hasher.hash('secret')), must(await hasher.hash('secret'))]
  assert.notEqual(one, two)
  assert.match(one, /^\$argon2id\$v=19\$m=32768,t=3,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  assert.equal(must(await hasher.matches('secret', one, false)), true)
  assert.equal(must(await hasher.matches('Secret', one, false)), false)
})

test('a hash that is damaged, or none, matches nothing', async () => {
  const hasher = new PasswordHasher()
  for (const hash of [undefined, '', '$argon2id$v=19$m=99999999,t=3,p=1$AA$AA', '$2b$10$abc'])
    assert.equal(must(await hasher.matches('', hash, false)), false)
})

test('who is nobody is hashed for as everybody is: he waits in the same queue, which has an end', async () => {
  const hasher = new PasswordHasher()
  const asked = Array.from({ length: 80 }, () => hasher.matches('guess', undefined, false))
  const known = hasher.matches('guess', undefined, true)
  const refused = (await Promise.all(asked)).filter((answer) => !answer.ok)
  assert.deepEqual([refused.length, refused[0]?.ok === false && refused[0].error.code], [14, 'too_many_requests'])
  assert.ok((await known).ok)
})

test('known devices do not wait behind the others', async () => {
  const hasher = new PasswordHasher()
  const order: string[] = []
  const note = (name: string) => () => order.push(name)
  const others = Array.from({ length: 8 }, () => hasher.matches('guess', undefined, false).then(note('other')))
  // Done as soon as it has begun: so the order of the ends tells that of the beginnings, however slow a thread is.
  const quick = `$argon2id$v=19$m=8,t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`
  await Promise.all([hasher.matches('mine', quick, true).then(note('known')), ...others])
  assert.ok(order.indexOf('known') <= 3, order.join())
})

test('the event loop goes on while passwords are hashed', async () => {
  const hasher = new PasswordHasher()
  let turns = 0
  let hashing = true
  const count = () => {
    turns++
    if (hashing) setImmediate(count)
  }
  setImmediate(count)
  await Promise.all([hasher.hash('one'), hasher.hash('two'), hasher.hash('three')])
  hashing = false
  assert.ok(turns > 10, String(turns))
})
