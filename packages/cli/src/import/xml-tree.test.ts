import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attributeOf, childrenOf, parseXml } from './xml-tree.ts'

const problemOf = (text: string) => {
  const result = parseXml(text)
  assert.ok(!result.ok, 'it was read')
  assert.equal(result.error.code, 'bad_request')
  return result.error.message.replace('The XML is not valid: ', '')
}

test('elements keep their attributes, order and lines', () => {
  const result = parseXml(
    '\uFEFF<?xml version="1.0"?>\n<a x="1 &amp; 2">\n  <b id="1"/>text<!-- no --><c/>\n  <b\n id="2"/></a>',
  )
  assert.ok(result.ok)
  assert.equal(attributeOf(result.value, 'x'), '1 & 2')
  assert.deepEqual(
    childrenOf(result.value, 'b').map((b) => [attributeOf(b, 'id'), b.line]),
    [
      ['1', 3],
      ['2', 4],
    ],
  )
})

test('an attribute that is named like a part of JavaScript is an attribute', () => {
  const result = parseXml('<a constructor="x" __proto__="y"/>')
  assert.ok(result.ok)
  assert.equal(attributeOf(result.value, 'constructor'), 'x')
  assert.equal(attributeOf(result.value, 'toString'), '')
})

test('malformed XML is refused with its line', () => {
  assert.match(problemOf('<a>\n<b>\n</a>'), /^line 3: Unexpected close tag/)
  assert.match(problemOf('<a>\n<b x=1/></a>'), /^line 2: Unquoted attribute value/)
  assert.match(problemOf('<a>\n'), /^line 2: Unclosed root tag/)
  assert.match(problemOf('<a/>\n<b/>'), /^line 2: /)
  assert.match(problemOf('no xml'), /^line 1: /)
  assert.equal(problemOf(''), 'there is no element in it')
})

test('no entity is defined by the document', () => {
  const bomb = '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]>\n<a>&y;</a>'
  assert.match(problemOf(bomb), /document type/)
  assert.match(problemOf('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'), /document type/)
  assert.match(problemOf('<a>&nbsp;</a>'), /entity/)
})

test('elements that are nested without end are refused', () => {
  assert.match(problemOf('<a>'.repeat(1_000_000)), /nested more than 200 deep/)
})
