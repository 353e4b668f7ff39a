import { Tabs } from '@mantine/core'
import type { ComponentType } from 'react'
import type { IconName } from './icon.tsx'
import { Page, PageHead } from './page.tsx'

export interface TabbedPageProps<Tab extends string> {
  readonly icon: IconName
  readonly title: string
  /** In the order in which they stand. */
  readonly tabs: readonly Tab[]
  readonly titleOf: (tab: Tab) => string
  readonly contents: Readonly<Record<Tab, ComponentType>>
  readonly chosen: Tab
  readonly onChoose: (tab: Tab) => void
}

/** A page of several parts, of which one is seen: only that one asks the cluster for anything. */
export function TabbedPage<Tab extends string>(props: TabbedPageProps<Tab>) {
  const { icon, title, tabs, titleOf, contents, chosen, onChoose } = props
  return (
    <Page>
      <PageHead icon={icon} title={title} />
      <Tabs value={chosen} onChange={(next) => onChoose(next as Tab)} keepMounted={false}>
        <Tabs.List mb="md">
          {tabs.map((tab) => (
            <Tabs.Tab key={tab} value={tab}>
              {titleOf(tab)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map((tab) => {
          const Content: ComponentType = contents[tab]
          return (
            <Tabs.Panel key={tab} value={tab}>
              <Content />
            </Tabs.Panel>
          )
        })}
      </Tabs>
    </Page>
  )
}
