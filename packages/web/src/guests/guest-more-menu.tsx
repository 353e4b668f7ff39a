/** What is done to a guest more rarely: it stands behind one button. */
import { Checkbox, Select } from '@mantine/core'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import type { TextKey } from '../i18n/language.ts'
import { useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { ActionMenu } from '../parts/action-menu.tsx'
import { useItems } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { NameField } from '../parts/text-field.tsx'
import { DumpDialog } from './dump-dialog.tsx'
import type { Obstacle } from './guest-actions.ts'
import { obstacleToChange } from './guest-change.ts'

interface DialogProps {
  readonly guest: GuestView
  readonly onClose: () => void
}

const ITEMS = {
  clone: { text: 'more.clone', Dialog: CloneDialog },
  template: { text: 'more.template', Dialog: TemplateDialog },
  dump: { text: 'more.dump', Dialog: DumpDialog },
  assign: { text: 'more.assign', Dialog: AssignDialog },
  staleStart: { text: 'more.staleStart', Dialog: StaleStartDialog },
} as const satisfies Record<string, { text: TextKey; Dialog: unknown }>
type ItemName = keyof typeof ITEMS

function obstacleTo(item: ItemName, guest: GuestView): Obstacle {
  if (item === 'dump') return obstacleToChange('assign', guest)
  if (item !== 'staleStart') return obstacleToChange(item, guest)
  return guest.state === 'waiting' || guest.state === 'stopped' ? undefined : 'obstacle.notWaiting'
}

export function GuestMoreMenu({ guest }: { guest: GuestView }) {
  const t = useText()
  const [asked, setAsked] = useState<ItemName>()
  const Dialog = asked && ITEMS[asked].Dialog
  return (
    <>
      <ActionMenu
        label={t('word.more')}
        actions={(Object.keys(ITEMS) as ItemName[])
          .filter((item) => item !== 'dump' || guest.kind === 'ct')
          .map((item) => {
            const obstacle = obstacleTo(item, guest)
            return { text: t(ITEMS[item].text), refusal: obstacle && t(obstacle), onClick: () => setAsked(item) }
          })}
      />
      {Dialog ? <Dialog guest={guest} onClose={() => setAsked(undefined)} /> : null}
    </>
  )
}

function CloneDialog({ guest, onClose }: DialogProps) {
  const t = useText()
  const navigate = useNavigate()
  const hosts = useHosts().filter(({ role }) => role === 'compute')
  const [name, setName] = useState('')
  const [host, setHost] = useState<string | null>(null)
  const [linked, setLinked] = useState(guest.template)
  const [start, setStart] = useState(true)
  const body = { name: name.trim(), linked, start, ...(host === null ? {} : { host }) }
  return (
    <ChangeDialog
      title={t('more.cloneTitle', { name: guest.name })}
      confirm={t('more.clone')}
      complaint={name === '' ? '' : complaintOf(ENDPOINTS['guest.clone'].body, body)}
      call={(client, consent) =>
        client.call(ENDPOINTS['guest.clone'], { params: { guest: guest.name }, body: { ...body, ...consent } })
      }
      onDone={() => void navigate({ to: '/guests/$guest', params: { guest: body.name } })}
      onClose={onClose}
    >
      <NameField label={t('more.cloneName')} value={name} onChange={setName} />
      <Select
        label={t('more.cloneHost')}
        placeholder={t('more.anyHost')}
        data={hosts.map((one) => one.name)}
        value={host}
        onChange={setHost}
        clearable
      />
      <Checkbox
        label={t('more.cloneLinked')}
        description={t('more.cloneLinkedText')}
        checked={linked}
        onChange={(event) => setLinked(event.currentTarget.checked)}
      />
      <Checkbox
        label={t('more.cloneStart')}
        checked={start}
        onChange={(event) => setStart(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}

function TemplateDialog({ guest, onClose }: DialogProps) {
  const t = useText()
  return (
    <ChangeDialog
      title={t('more.templateTitle', { name: guest.name })}
      confirm={t('more.template')}
      danger={{ text: t('more.templateText'), name: guest.name }}
      call={(client) => client.call(ENDPOINTS['guest.template'], { params: { guest: guest.name } })}
      onClose={onClose}
    />
  )
}

function AssignDialog({ guest, onClose }: DialogProps) {
  const t = useText()
  const projects = useItems(['projects'], (client) => client.call(ENDPOINTS['project.list']))
  const [project, setProject] = useState<string | null>(null)
  return (
    <ChangeDialog
      title={t('more.assignTitle', { name: guest.name })}
      confirm={t('word.save')}
      complaint={project === null ? '' : undefined}
      call={(client) =>
        client.call(ENDPOINTS['guest.assign'], { params: { guest: guest.name }, body: { project: project ?? '' } })
      }
      onClose={onClose}
    >
      <Select
        label={t('more.project')}
        description={t('more.projectText', { project: guest.project })}
        data={projects.map(({ name }) => name).filter((name) => name !== guest.project)}
        value={project}
        onChange={setProject}
      />
    </ChangeDialog>
  )
}

function StaleStartDialog({ guest, onClose }: DialogProps) {
  const t = useText()
  return (
    <ChangeDialog
      title={t('more.staleStartTitle', { name: guest.name })}
      confirm={t('more.staleStart')}
      foreseen={[guest.id, guest.revision]}
      danger={{ text: t('more.staleStartText'), name: guest.name }}
      call={(client, consent) =>
        client.call(ENDPOINTS['guest.start'], {
          params: { guest: guest.name },
          body: { acceptDataLoss: true, ...consent },
        })
      }
      onClose={onClose}
    />
  )
}
