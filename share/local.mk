# shipped data
