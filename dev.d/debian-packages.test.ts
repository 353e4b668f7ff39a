import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mirrorFromLines, mirrorFromStanzas } from './debian-packages.ts'

test("a deb822 source of this release tells the mirror and its key, another suite's does not", () => {
  const text = [
    'Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg',
    'Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main',
  ].join('\n\n')
  assert.deepEqual(mirrorFromStanzas(text, 'bookworm'), { uri: 'http://mirror.example/debian', signedBy: '/k.gpg' })
  assert.equal(mirrorFromStanzas(text, 'trixie'), undefined)
})

test('a one-line source of this release tells the mirror, and its key when it names one', () => {
  const text = [
    '# deb cdrom:[Debian] bookworm main',
    'deb http://mirror.example/security bookworm-security main',
    'deb http://mirror.example/debian/ bookworm main non-free-firmware',
    'deb-src http://mirror.example/debian/ bookworm main',
  ].join('\n')
  assert.deepEqual(mirrorFromLines(text, 'bookworm'), { uri: 'http://mirror.example/debian/' })
  assert.deepEqual(mirrorFromLines('deb [arch=amd64 signed-by=/k.gpg] http://m.example/ trixie main', 'trixie'), {
    uri: 'http://m.example/',
    signedBy: '/k.gpg',
  })
})
