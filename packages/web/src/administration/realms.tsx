/** Realms: who else says who somebody is. What is offered at sign-in, whose groups become whose here, whether they answer. */
import { useMemo, useState } from 'react'
import type { RealmView } from '@stead/api/endpoints/realms.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { useAsked } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { ToneBadge } from '../parts/state-badge.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing, nameColumn } from './listing.tsx'
import { RealmDialog } from './realm-dialog.tsx'
import { RealmTestDialog } from './realm-test-dialog.tsx'

type Asking = { readonly kind: 'create' } | { readonly kind: 'edit' | 'test' | 'delete'; readonly realm: RealmView }

export function Realms() {
  const t = useText()
  const may = useRefusal('/access')('access.manage')
  const asked = useAsked(['realms'], (client) => client.call(ENDPOINTS['realm.list']))
  const [asking, setAsking] = useState<Asking>()
  const columns = useColumns()
  const action = (kind: 'edit' | 'test' | 'delete') => ({
    text: t(`realms.${kind}`),
    refusal: (realm: RealmView) => may ?? (kind === 'delete' && realm.users > 0 ? t('realms.hasUsers') : undefined),
    onClick: (realm: RealmView) => setAsking({ kind, realm }),
  })
  const close = () => setAsking(undefined)
  return (
    <>
      <Listing
        label={t('admin.tab.realms')}
        icon="user"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, title, service }) => `${name} ${title} ${placeOf(service)}`}
        columns={columns}
        actions={[action('edit'), action('test'), action('delete')]}
        create={{ text: t('realms.create'), refusal: may, onClick: () => setAsking({ kind: 'create' }) }}
        none={t('realms.none')}
      />
      {asking?.kind === 'create' ? <RealmDialog onClose={close} /> : null}
      {asking?.kind === 'edit' ? <RealmDialog realm={asking.realm} onClose={close} /> : null}
      {asking?.kind === 'test' ? <RealmTestDialog realm={asking.realm} onClose={close} /> : null}
      {asking?.kind === 'delete' ? (
        <ChangeDialog
          title={t('realms.askDelete', { name: asking.realm.name })}
          confirm={t('realms.delete')}
          danger={{ text: t('realms.deleteText') }}
          call={(client) =>
            client.call(
              ENDPOINTS['realm.remove'],
              { params: { realm: asking.realm.name } },
              { ifMatch: asking.realm.revision },
            )
          }
          onClose={close}
        />
      ) : null}
    </>
  )
}

function placeOf(service: RealmView['service']): string {
  return service.kind === 'oidc' ? service.issuer : service.urls.join(', ')
}

function useColumns(): readonly TableColumn<RealmView>[] {
  const t = useText()
  return useMemo(
    () => [
      nameColumn(t('word.name'), 'minmax(90px, .8fr)', ({ title }) => title),
      {
        id: 'kind',
        title: t('column.kind'),
        width: 'minmax(90px, .7fr)',
        wideOnly: true,
        value: ({ service }) => service.kind,
        cell: ({ service }) => t(`realms.kind.${service.kind}`),
      },
      {
        id: 'place',
        title: t('realms.place'),
        width: 'minmax(120px, 1.1fr)',
        wideOnly: true,
        value: ({ service }) => placeOf(service),
        cell: ({ service }) => <span title={placeOf(service)}>{placeOf(service)}</span>,
      },
      {
        id: 'shown',
        title: t('realms.atSignIn'),
        width: 'minmax(150px, 1.8fr)',
        value: ({ disabled }) => (disabled ? 1 : 0),
        cell: ({ name, disabled, title, service }) =>
          disabled ? (
            <ToneBadge tone="quiet" text={t('realms.notShown')} />
          ) : (
            <ToneBadge tone="good" text={t(`realms.shown.${service.kind}`, { title: title || name })} />
          ),
      },
      {
        id: 'users',
        title: t('admin.tab.users'),
        width: '80px',
        align: 'end',
        value: ({ users }) => users,
        cell: ({ users }) => users,
      },
    ],
    [t],
  )
}
