/** Asks before something is done to a host: shows what it would do, and takes its name before what cannot be undone. */
import { Select, Text } from '@mantine/core'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog, type ChangeDialogProps } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { TextField } from '../parts/text-field.tsx'
import { domainsChange, domainsText, type HostAction } from './host-actions.ts'

interface DialogProps {
  readonly host: HostView
  readonly onClose: () => void
}

export function HostActionDialog({ action, ...props }: DialogProps & { action: HostAction }) {
  if (action === 'shutdown') return <ShutdownDialog {...props} />
  if (action === 'domains') return <DomainsDialog {...props} />
  if (action === 'cutPower' || action === 'restorePower') return <PowerDialog {...props} action={action} />
  if (action === 'confirmDead' || action === 'remove') return <LossDialog {...props} action={action} />
  return <PlainDialog {...props} action={action} />
}

function PlainDialog({ host, action, onClose }: DialogProps & { action: 'drain' | 'undrain' | 'cancelShutdown' }) {
  const t = useText()
  const params = { host: host.name }
  const calls: Record<typeof action, ChangeDialogProps['call']> = {
    drain: (client, consent) => client.call(ENDPOINTS['host.drain'], { params, body: consent }),
    undrain: (client) => client.call(ENDPOINTS['host.undrain'], { params }),
    cancelShutdown: (client) => client.call(ENDPOINTS['host.cancel-shutdown'], { params }),
  }
  return (
    <ChangeDialog
      title={t(`host.ask.${action}`, { name: host.name })}
      confirm={t(`host.${action}`)}
      foreseen={[]}
      call={calls[action]}
      onClose={onClose}
    />
  )
}

function ShutdownDialog({ host, onClose }: DialogProps) {
  const t = useText()
  const [how, setHow] = useState<'power-off' | 'reboot'>('power-off')
  return (
    <ChangeDialog
      title={t('host.ask.shutdown', { name: host.name })}
      confirm={t('host.shutdown')}
      foreseen={[how]}
      danger={{ text: t('host.shutdownText') }}
      call={(client, consent) =>
        client.call(ENDPOINTS['host.shutdown'], { params: { host: host.name }, body: { how, ...consent } })
      }
      onClose={onClose}
    >
      <Select
        label={t('host.shutdownHow')}
        data={(['power-off', 'reboot'] as const).map((value) => ({ value, label: t(`host.how.${value}`) }))}
        value={how}
        onChange={(value) => setHow(value === 'reboot' ? 'reboot' : 'power-off')}
        allowDeselect={false}
      />
    </ChangeDialog>
  )
}

/** The plug of a lab's host. What its loss would do is looked at again whenever the host is in another state. */
function PowerDialog({ host, action, onClose }: DialogProps & { action: 'cutPower' | 'restorePower' }) {
  const t = useText()
  const params = { host: host.name }
  const isCut = action === 'cutPower'
  return (
    <ChangeDialog
      title={t(`host.ask.${action}`, { name: host.name })}
      confirm={t(`host.${action}`)}
      foreseen={[host.state]}
      {...(isCut ? { danger: { text: t('host.cutPowerText'), name: host.name } } : {})}
      call={(client) => client.call(isCut ? ENDPOINTS['host.cut-power'] : ENDPOINTS['host.restore-power'], { params })}
      onClose={onClose}
    >
      {isCut ? null : <Text size="sm">{t('host.restorePowerText')}</Text>}
    </ChangeDialog>
  )
}

/** What the cluster cannot make sure of by itself, or undo. */
function LossDialog({ host, action, onClose }: DialogProps & { action: 'confirmDead' | 'remove' }) {
  const t = useText()
  const navigate = useNavigate()
  return (
    <ChangeDialog
      title={t(`host.ask.${action}`, { name: host.name })}
      confirm={t(`host.${action}`)}
      danger={{ text: t(`host.${action}Text`), name: host.name }}
      call={(client) =>
        action === 'remove'
          ? client.call(ENDPOINTS['host.remove'], { params: { host: host.name } })
          : client.call(ENDPOINTS['cluster.failover'], { body: { confirmDead: host.name } })
      }
      {...(action === 'remove' ? { onDone: () => void navigate({ to: '/hosts' }) } : {})}
      onClose={onClose}
    />
  )
}

function DomainsDialog({ host, onClose }: DialogProps) {
  const t = useText()
  const before = domainsText(host.faultDomains)
  const [text, setText] = useState(before)
  const faultDomains = domainsChange(host.faultDomains, text)
  const body = { faultDomains: faultDomains ?? {} }
  const complaint = faultDomains ? complaintOf(ENDPOINTS['host.set'].body, body) : t('host.domainsForm')
  return (
    <ChangeDialog
      title={t('host.ask.domains', { name: host.name })}
      confirm={t('word.save')}
      complaint={text === before ? '' : complaint}
      foreseen={[text]}
      call={(client) => client.call(ENDPOINTS['host.set'], { params: { host: host.name }, body })}
      onClose={onClose}
    >
      <TextField
        label={t('host.domains')}
        description={t('host.domainsText')}
        placeholder="rack=r1, room=cellar"
        value={text}
        onChange={setText}
        data-autofocus
      />
    </ChangeDialog>
  )
}
