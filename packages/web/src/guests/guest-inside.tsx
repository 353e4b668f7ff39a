/** What the agent inside a machine tells of it, and a program that is run there. */
import { Group, NumberInput, Textarea } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { durationText } from '../parts/figures.ts'
import { Empty, Facts, Panel, Panels } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { TrialDialog } from '../parts/trial-dialog.tsx'
import { useRefusal } from '../session/privileges.ts'
import { useSession } from '../session/session-context.ts'
import { ShortTable } from '../table/short-table.tsx'
import { linesOf } from './command-lines.ts'
import classes from './guest-tabs.module.css'

const PING_MS = 5_000
const SECOND_MS = 1_000

interface InsideProps {
  readonly guest: GuestView
}

export function GuestInside({ guest }: InsideProps) {
  const t = useText()
  if (guest.state !== 'running')
    return <Empty icon="vm" title={t('inside.notRunning')} text={t('inside.notRunningText')} />
  return (
    <Panels>
      <SystemPanel guest={guest} />
      <AddressesPanel guest={guest} />
    </Panels>
  )
}

function SystemPanel({ guest }: InsideProps) {
  const t = useText()
  const [isRunning, setRunning] = useState(false)
  const refusal = useRefusal(`/guests/${guest.name}`)('guest.execute')
  const params = { guest: guest.name }
  const asked = useAsked(['agent', guest.id, guest.epoch], (client) =>
    client.call(ENDPOINTS['guest-agent.info'], { params }),
  )
  return (
    <Panel
      title={t('inside.system')}
      aside={
        <RefusableButton
          size="compact-xs"
          variant="default"
          obstacle={guest.agent.execute ? undefined : 'inside.notAllowed'}
          refusal={refusal}
          onClick={() => setRunning(true)}
        >
          {t('inside.run')}
        </RefusableButton>
      }
    >
      <Answered asked={asked}>
        {({ system, kernel, hostname, agentVersion, fileSystems }) => (
          <Facts
            items={[
              [t('inside.calledSystem'), system || '–'],
              [t('inside.kernel'), kernel],
              [t('hardware.hostname'), hostname],
              [t('inside.version'), agentVersion],
              [t('inside.fileSystems'), t(`inside.fileSystems.${fileSystems}`)],
            ]}
          />
        )}
      </Answered>
      <Ping guest={guest} />
      {isRunning ? <RunDialog guest={guest} onClose={() => setRunning(false)} /> : null}
    </Panel>
  )
}

/** Whether it answers now, again and again. */
function Ping({ guest }: InsideProps) {
  const t = useText()
  const language = useLanguage()
  const { client } = useSession()
  const { data } = useQuery({
    queryKey: ['agent-ping', guest.id],
    queryFn: () => client.call(ENDPOINTS['guest-agent.ping'], { params: { guest: guest.name } }),
    refetchInterval: PING_MS,
  })
  if (!data) return <p className={classes.dim}>{t('word.loading')}</p>
  return (
    <p className={classes.dim} role="status">
      {data.ok
        ? t('inside.answers', { time: durationText(data.value.answeredMs, language) })
        : t('inside.silent', { why: data.error.message })}
    </p>
  )
}

function AddressesPanel({ guest }: InsideProps) {
  const t = useText()
  const asked = useAsked(['agent-addresses', guest.id, guest.epoch], (client) =>
    client.call(ENDPOINTS['guest-agent.addresses'], { params: { guest: guest.name } }),
  )
  return (
    <Panel title={t('guest.addresses')}>
      <Answered asked={asked}>
        {({ interfaces }) => (
          <ShortTable label={t('guest.addresses')} columns={[t('word.name'), t('inside.mac'), t('guest.addresses')]}>
            {interfaces.map(({ name, mac, addresses }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>
                  <code>{mac || '–'}</code>
                </td>
                <td>{addresses.join(', ') || '–'}</td>
              </tr>
            ))}
          </ShortTable>
        )}
      </Answered>
    </Panel>
  )
}

type Ran = ResponseOf<(typeof ENDPOINTS)['guest-agent.execute']>

function RunDialog({ guest, onClose }: InsideProps & { onClose: () => void }) {
  const t = useText()
  const [command, setCommand] = useState('')
  const [input, setInput] = useState('')
  const [seconds, setSeconds] = useState(30)
  const body = {
    command: linesOf(command),
    ...(input === '' ? {} : { input }),
    timeoutMs: Math.round(seconds * SECOND_MS),
  }
  return (
    <TrialDialog
      title={t('inside.runTitle', { name: guest.name })}
      confirm={t('inside.run')}
      complaint={command.trim() === '' ? '' : complaintOf(ENDPOINTS['guest-agent.execute'].body, body)}
      ask={(client) => client.call(ENDPOINTS['guest-agent.execute'], { params: { guest: guest.name }, body })}
      told={(ran) => <Outcome ran={ran} />}
      onClose={onClose}
    >
      <Textarea
        label={t('inside.command')}
        description={t('inside.commandText')}
        placeholder={'/usr/bin/df\n-h'}
        autosize
        minRows={3}
        maxRows={10}
        value={command}
        onChange={(event) => setCommand(event.currentTarget.value)}
        spellCheck={false}
        data-autofocus
      />
      <Group grow align="start">
        <Textarea
          label={t('inside.input')}
          autosize
          maxRows={6}
          value={input}
          onChange={(event) => setInput(event.currentTarget.value)}
          spellCheck={false}
        />
        <NumberInput
          label={t('inside.seconds')}
          min={0.1}
          max={600}
          value={seconds}
          onChange={(value) => setSeconds(Number(value))}
        />
      </Group>
    </TrialDialog>
  )
}

function Outcome({ ran: { exitCode, signal, stdout, stderr, truncated } }: { ran: Ran }) {
  const t = useText()
  return (
    <>
      <p className={classes.outcome}>
        {exitCode === null ? t('inside.signal', { signal: signal ?? 0 }) : t('inside.exit', { code: exitCode })}
        {truncated ? ` ${t('inside.truncated')}` : ''}
      </p>
      {(
        [
          ['stdout', stdout],
          ['stderr', stderr],
        ] as const
      ).map(([name, text]) =>
        text === '' ? null : (
          <pre key={name} className={classes.output} tabIndex={0} aria-label={t(`inside.${name}`)} role="region">
            {text}
          </pre>
        ),
      )}
    </>
  )
}
